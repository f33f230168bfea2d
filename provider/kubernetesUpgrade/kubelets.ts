import { coded, type CodedText } from "../../talos/errorCodes.ts";
import { TalosError } from "../../talos/api/errors.ts";
import { pollUntil } from "../context.ts";
import { EngineGone } from "../errors.ts";
import { Refused } from "../gate/refused.ts";
import type { Finding } from "../guards/finding.ts";
import { nodeLabel } from "../inputs.ts";
import { cordonAnnotation, KubernetesError, storageAnnotation, type KubernetesNode } from "../kubernetes.ts";
import { readKubeletStake, type KubeletLook } from "../nodeConfiguration/kubelet.ts";
import { withinBudget } from "../rollout/budget.ts";
import { retryKubernetes, drain, findNode } from "../steps/drain.ts";
import { awaitNotedStorage } from "../steps/storage.ts";
import { releaseNode } from "../steps/uncordon.ts";
import { noteStorage } from "../storage/storageNote.ts";
import { talosctlCommand } from "../talosctl.ts";
import { setComponentImage } from "./componentImage.ts";
import { componentsBehind, kubeletRelease, type ClusterLook } from "./look.ts";
import { KubernetesUpgradeError, type Work, type WorkNode } from "./work.ts";

/**
 * Upgrades one node's kubelet. The node is drained first if a driver would lose volumes in use; otherwise containers keep running. The next node waits until
 * this one is Ready with the release, its storage is healthy and it is schedulable again.
 */
export async function upgradeKubelet(work: Work, one: WorkNode): Promise<void> {
  const { node, context } = one;
  const target = work.inputs.kubernetesVersion;
  if (node.pinned.includes("kubelet")) return;
  work.part(`kubelet ${target} on ${node.name}`, `${nodeLabel(node)}, kubelet`);
  const own = await context.talos.kubernetesNode({
    deadlineMs: context.timeouts.probeMs * 2,
    signal: work.signal,
  });
  const find = async (): Promise<KubernetesNode | undefined> => {
    const kubernetes = await context.kubernetes();
    return findNode((await kubernetes?.nodes()) ?? [], own, node.node);
  };
  context.timer.start();
  const before = await retryKubernetes(context, find);
  if (before === undefined) throw unknownNode(one);
  if (
    kubeletRelease(before) === target &&
    before.annotations[cordonAnnotation] === undefined &&
    before.annotations[storageAnnotation] === undefined
  ) {
    // The configuration may be behind, for example after a manual upgrade.
    await setComponentImage(work, one, "kubelet", `kubelet:${before.kubeletVersion ?? ""}`);
    return;
  }
  await context.gate.underLock(() =>
    withinBudget(context, async () => {
      await work.requireOpen(one);
      context.timer.start();
      await restartKubelet(work, one, before, find);
    }),
  );
}

async function restartKubelet(
  work: Work,
  one: WorkNode,
  before: KubernetesNode,
  find: () => Promise<KubernetesNode | undefined>,
): Promise<void> {
  const { node, context } = one;
  let asked = false;
  try {
    if (kubeletRelease(before) !== work.inputs.kubernetesVersion) {
      await drainOrNote(work, one, before);
      await setComponentImage(work, one, "kubelet", undefined, () => void (asked = true));
    }
    const after = await awaitKubelet(work, one, find);
    await awaitNotedStorage(context, after, () =>
      work.part(`storage of ${node.name}`, `${nodeLabel(node)}, storage`),
    );
    const kubernetes = await context.kubernetes();
    if (kubernetes !== undefined)
      await retryKubernetes(context, () => releaseNode(kubernetes, after, { installedToo: false }));
  } catch (error) {
    await (!asked || error instanceof Refused
      ? uncordonIfOurs(work, one, find)
      : noteKeptCordon(work, one, find));
    throw error;
  }
}

/** Drains the node if its volumes would be lost under their pods; otherwise records its storage for the check afterwards. */
async function drainOrNote(work: Work, { node, context }: WorkNode, before: KubernetesNode): Promise<void> {
  const { name } = node;
  const look = kubeletLook(work, { node, context });
  const refusal = await whyNoRestart(look);
  // A cordon of ours is from a run that started to drain it.
  if (refusal === undefined && before.annotations[cordonAnnotation] === undefined) {
    await noteStorage(context, before.name);
    return;
  }
  if (!context.wanted.drain.enabled)
    throw new KubernetesUpgradeError(
      nodeLabel(node),
      refusal ?? coded("kubelet-volumes", "an earlier run cordoned it"),
      withoutDrainHint,
    );
  work.part(`drain of ${name}`, `${nodeLabel(node)}, drain`);
  await drain(context, { kubernetesNode: before.name }, () => undefined);
  const still = await whyNoRestart(look);
  if (still !== undefined)
    throw new KubernetesUpgradeError(
      nodeLabel(node),
      still,
      "Run `pulumi up` again: it continues from here.",
    );
}

const withoutDrainHint =
  "Set upgrade.drain.enabled: true, or drain the node yourself first (`kubectl drain`) and uncordon it afterwards, or deploy the driver with this program first.";

/** Why the kubelet must not restart now; undefined if it may. */
async function whyNoRestart(look: KubeletLook): Promise<CodedText | undefined> {
  const stake = await readKubeletStake(look);
  return stake.is === "free" ? undefined : coded("kubelet-volumes", stake.problem);
}

function kubeletLook({ surroundings, signal }: Work, { node, context }: WorkNode): KubeletLook {
  const { name, node: address } = node;
  return {
    ...{ surroundings, signal, connections: { to: context.peer } },
    wanted: { name, node: address, controlPlanes: [...context.wanted.controlPlanes] },
  };
}

/**
 * Without drains, an upgrade would stop at a kubelet whose node has volumes that its driver loses, so it isn't started. Volumes that have left by then no
 * longer block.
 */
export async function undrainedFindings(work: Work, { nodes }: ClusterLook): Promise<Finding[]> {
  const { inputs } = work;
  if (inputs.drain.enabled) return [];
  const due = new Set(
    nodes.flatMap((look) =>
      componentsBehind(look, inputs.kubernetesVersion).includes("kubelet") ? [look.node.name] : [],
    ),
  );
  const found = await Promise.all(
    work.nodes.map(async ({ node, context }): Promise<Finding[]> => {
      if (!due.has(node.name)) return [];
      const problem = await whyNoRestart(kubeletLook(work, { node, context }));
      return problem === undefined
        ? []
        : [
            {
              code: "kubelet-volumes",
              problem: `${nodeLabel(node)}: ${problem}`,
              hint: withoutDrainHint,
              mayPass: true,
            },
          ];
    }),
  );
  return found.flat();
}

async function awaitKubelet(
  work: Work,
  { node, context }: WorkNode,
  find: () => Promise<KubernetesNode | undefined>,
): Promise<KubernetesNode> {
  const target = work.inputs.kubernetesVersion;
  work.part(`kubelet ${target} on ${node.name}`, `${nodeLabel(node)}, kubelet`);
  let last = "Kubernetes does not know this node";
  const found = await pollUntil(context, context.timer.end, async () => {
    try {
      const trouble = await kubeletTrouble({ node, context }, work.signal);
      const now = await find();
      if (now !== undefined) last = `its kubelet reports ${now.kubeletVersion ?? "no release"}`;
      if (trouble !== undefined) last = trouble;
      else if (now !== undefined && kubeletRelease(now) === target) {
        if (now.ready) return now;
        last = `Kubernetes says the node is not Ready: ${now.reason}`;
      }
    } catch (error) {
      if (!(error instanceof KubernetesError) && !(error instanceof TalosError)) throw error;
      last = error.message;
    }
    context.progress.detail(`waiting: ${last}`);
    return undefined;
  });
  if (found !== undefined) return found;
  throw new KubernetesUpgradeError(
    `${nodeLabel(node)}, kubelet`,
    coded(
      "kubernetes-not-running",
      `it does not run ${target} after ${work.inputs.timeoutSeconds} s: ${last}`,
    ),
    `No node after it was touched. Check ${talosctlCommand("logs kubelet", node.node)}; then run \`pulumi up\` again: it continues from here.`,
  );
}

async function kubeletTrouble({ context }: WorkNode, signal: AbortSignal): Promise<string | undefined> {
  const services = await context.talos.services({ deadlineMs: context.timeouts.probeMs * 2, signal });
  const kubelet = services.find(({ id }) => id === "kubelet");
  if (kubelet?.state !== "Running") return `the service kubelet is ${kubelet?.state ?? "missing"}`;
  return kubelet.health === "unhealthy" ? "the service kubelet is not healthy" : undefined;
}

/** The kubelet was not changed: lift the cordon set for it. */
async function uncordonIfOurs(
  work: Work,
  { node, context }: WorkNode,
  find: () => Promise<KubernetesNode | undefined>,
): Promise<void> {
  // The next run may have cordoned the node for itself already.
  if (work.signal.reason instanceof EngineGone) return;
  try {
    const [kubernetes, now] = await Promise.all([context.kubernetes(), find()]);
    if (kubernetes === undefined || now === undefined) return;
    if (await releaseNode(kubernetes, now, { installedToo: false }))
      work.note(`${node.name} was uncordoned.`);
  } catch (error) {
    context.progress.warn(
      `could not be uncordoned: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** The kubelet is restarting: a node drained for that becomes schedulable once the next run finds it healthy. */
async function noteKeptCordon(
  work: Work,
  { node, context }: WorkNode,
  find: () => Promise<KubernetesNode | undefined>,
): Promise<void> {
  try {
    if ((await find())?.annotations[cordonAnnotation] !== undefined)
      work.note(`${node.name} stays cordoned until a later \`pulumi up\` has seen its kubelet healthy.`);
  } catch (error) {
    context.progress.detail(
      `could not determine whether it is cordoned: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function unknownNode({ node }: WorkNode): Error {
  return new KubernetesUpgradeError(
    `${nodeLabel(node)}, kubelet`,
    coded("node-not-in-kubernetes", "Kubernetes has no node with this name or address"),
    "Check `kubectl get nodes -o wide`: has it joined, and is this the cluster's kubeconfig?",
  );
}
