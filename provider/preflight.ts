import { groupedAdvisories } from "./upgradeAdvisories.ts";
import type { DeploymentChanges } from "./deploymentChanges.ts";
import { runsWantedImage, type NodeFacts } from "./facts.ts";
import { preflightNodes } from "./hops/hopInputs.ts";
import { imageTrials } from "./hops/imageTrials.ts";
import {
  findKubernetesHops,
  kubernetesHopProblem,
  tryKubernetesHopImages,
  upgradeKubernetesForHops,
  type KubernetesHopCall,
} from "./hops/kubernetes.ts";
import { releasesAhead } from "./hops/path.ts";
import { runHops, type HopsOutcome } from "./hops/runHops.ts";
import type { Surroundings } from "./session.ts";
import { withSurvey, type Survey } from "./survey.ts";

/** A node as the preflight found it. */
export interface PreflightNode {
  name: string;
  /** The running Talos release. */
  runs: string;
  /** Whether the rollout will upgrade it. */
  due: boolean;
}

/** The result of a preflight. */
export interface PreflightOutcome extends HopsOutcome {
  nodes: PreflightNode[];
}

/**
 * Checks every node before the first one is touched: a single node that can't be upgraded stops all, since a rollout that stops halfway leaves a cluster on two
 * releases. Then every due node pulls its image. Nodes with hops go through those first.
 */
export async function preflight(
  surroundings: Surroundings,
  urn: string,
  inputs: Record<string, unknown>,
  signal: AbortSignal,
  changed: DeploymentChanges,
): Promise<PreflightOutcome> {
  const wanted = preflightNodes(inputs);
  const sink = surroundings.statusOf(urn);
  const call = { surroundings, urn, signal, changed: () => changed.describeBeforeRollout };
  const complete = async (survey: Survey): Promise<void> => {
    await survey.inspect();
    await survey.guard();
    survey.refuse();
    for (const advice of groupedAdvisories(survey.due(), surroundings.advised)) sink.warn(advice);
    if (inputs["prePull"] !== false) await survey.pull();
    survey.refuse();
  };
  const hops = await runHops(surroundings, urn, wanted, signal, {
    look: () => withSurvey(wanted, call, (survey) => checkUpgradePaths(survey, { ...call, nodes: wanted })),
    images: async (found) => {
      const trials = inputs["prePull"] === false ? [] : imageTrials(wanted, found);
      if (trials.length === 0) return;
      await withSurvey(
        trials.map((trial) => trial.wanted),
        call,
        (survey) => survey.tryPulls(trials, wanted.length),
      );
      await tryKubernetesHopImages({ ...call, nodes: wanted }, found);
    },
    survey: ({ release, nodes }) => withSurvey(nodes, { ...call, what: `the hop to ${release}` }, complete),
    done: ({ release }) => changed.noteHop(release),
    raise: async (talos) => {
      const { raised, postponed } = await upgradeKubernetesForHops({ ...call, nodes: wanted }, talos);
      if (raised !== undefined) changed.noteKubernetes(raised);
      return postponed;
    },
  });
  // With hops left, the last step would be refused; each node's own upgrade waits for the window, too.
  if (hops.postponed !== undefined) {
    sink.warn(`the rollout continues when an upgrade window is open: ${hops.postponed}`);
    return { ...hops, nodes: [] };
  }
  const nodes = await withSurvey(wanted, call, async (survey) => {
    await complete(survey);
    return survey.nodes.map(({ context, facts }) => ({
      name: context.wanted.name,
      runs: facts?.version ?? "",
      due: facts !== undefined && !runsWantedImage(facts, context.wanted),
    }));
  });
  return { ...hops, nodes };
}

/** What every node runs, after checking that all of them can reach their releases. */
async function checkUpgradePaths(
  survey: Survey,
  call: KubernetesHopCall,
): Promise<ReadonlyMap<string, NodeFacts>> {
  await survey.inspect();
  await survey.ways();
  survey.refuse();
  const ways = survey.due().map(({ node, facts }) => releasesAhead(facts, node));
  const hops = await findKubernetesHops(call, ways);
  const problem = hops === undefined ? undefined : await kubernetesHopProblem(call, hops);
  if (problem !== undefined) throw problem;
  return survey.found();
}

/** What was done by a deployment that ends before its first configuration. */
export const nothingDeployedYet =
  "Nothing was changed on any node: no machine configuration was applied, and no node was upgraded or rebooted.";

/**
 * The read-only part of the preflight, run before the first machine configuration is applied: a configuration names the node's image, so a rollout that can't
 * start must not change configurations either. etcd members that this deployment may remove first don't block yet. If nodes have hops, the first hop must be
 * able to start.
 * @param known nodes in the state: a new one may have no configuration yet, and is left to the preflight if it doesn't answer
 */
export async function lookBeforeChanges(
  surroundings: Surroundings,
  urn: string,
  inputs: Record<string, unknown>,
  known: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  const hint =
    "If a changed machine configuration fixes this, deploy it with the running release first, then change the release.";
  const call = { surroundings, urn, signal, changed: () => `${nothingDeployedYet} ${hint}` };
  const wanted = preflightNodes(inputs);
  // A node that doesn't answer is reported together with the other nodes' problems.
  const guarded = async (survey: Survey): Promise<void> => {
    await survey.guard({ onStray: () => undefined, isFirst: true });
    survey.refuse();
  };
  const first = await withSurvey(wanted, call, async (survey) => {
    await survey.inspect(({ name }) => known.has(name));
    const stage = await survey.ways({ isConfigured: false });
    if (stage === undefined) await guarded(survey);
    else survey.refuse();
    return stage;
  });
  if (first === undefined) return;
  await withSurvey(first.nodes, { ...call, what: `the hop to ${first.release}` }, async (survey) => {
    await survey.inspect();
    await guarded(survey);
  });
}
