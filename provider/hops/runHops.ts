import { describeImage } from "../../talos/nodeOutlook.ts";
import { versionChangeVerb, type NodeFacts } from "../facts.ts";
import { nodeLabel } from "../inputs.ts";
import { Session, type Surroundings } from "../session.ts";
import { prefixStatusWithNode } from "../prefixedStatus.ts";
import { timelineAfter } from "../timeline.ts";
import { upgradeNode } from "../upgrade.ts";
import { nextHopStage, unverifiedHop, type NodeWithHops, type HopStage } from "./path.ts";

/** One node's upgrade to an intermediate release, in the form that reports read. */
export interface CompletedHop {
  name: string;
  node: string;
  role: NodeWithHops["role"];
  timeline: unknown;
}

/** The result of the hops. */
export interface HopsOutcome {
  /** Every completed upgrade, in order of completion. */
  taken: CompletedHop[];
  /** Why the rest is left for a later deployment; undefined if no hop is left. */
  postponed?: string;
}

/** What the hops need from the preflight. */
export interface HopPreflight {
  /** Reads what every node runs now; refuses all if one of them can't reach its release. */
  look(): Promise<ReadonlyMap<string, NodeFacts>>;
  /** Pulls every image on the way once, or refuses all: a missing one must not be found halfway. */
  images(found: ReadonlyMap<string, NodeFacts>): Promise<void>;
  /** Checks the nodes of one hop and pulls its image on them, or refuses the hop. */
  survey(stage: HopStage): Promise<void>;
  /** Upgrades Kubernetes if these Talos releases need it; returns why that has to wait. */
  raise(talos: readonly string[]): Promise<string | undefined>;
  /** Called when a hop is complete: every node that had to take it runs that release, verified. */
  done(stage: HopStage): void;
}

/**
 * Takes every node that is more than one minor release behind through the releases in between, hop by hop. Each hop is a rollout: its nodes are checked, then
 * control planes and workers are upgraded in order, each with all steps. The next hop starts when all nodes have completed this one, so hops never put nodes
 * more than one minor apart. Progress is read from the nodes, so a run can be stopped anywhere.
 */
export async function runHops(
  surroundings: Surroundings,
  urn: string,
  nodes: readonly NodeWithHops[],
  signal: AbortSignal,
  looks: HopPreflight,
): Promise<HopsOutcome> {
  const taken: CompletedHop[] = [];
  if (!nodes.some(({ hops = [] }) => hops.length > 0)) return { taken };
  const bring = async (wanted: NodeWithHops): Promise<string | undefined> => {
    const outcome = await upgradeNodeToHop(surroundings, urn, wanted, signal);
    if (outcome.taken !== undefined) taken.push(outcome.taken);
    return outcome.postponed;
  };
  let found = await looks.look();
  await looks.images(found);
  // An interrupted run may have left nodes on an intermediate release unverified or cordoned. Verifying a node disturbs nothing.
  const unproven = nodes.flatMap((node) => {
    const running = found.get(node.name);
    const standing = running === undefined ? undefined : unverifiedHop(running, node);
    return standing === undefined ? [] : [standing];
  });
  await Promise.all(unproven.map(bring));
  for (let stage = nextHopStage(nodes, found); stage !== undefined; stage = nextHopStage(nodes, found)) {
    const names = stage.nodes.map(({ name }) => name).join(", ");
    const waits = await looks.raise(stage.nodes.map(({ talosVersion }) => talosVersion));
    if (waits !== undefined)
      return { taken, postponed: `Kubernetes before the hop to ${stage.release}: ${waits}` };
    surroundings.statusOf(urn).info(`hop to ${stage.release}: ${names}`);
    await looks.survey(stage);
    const postponed = await runInOrder(nodes, stage, bring);
    if (postponed.size > 0)
      return { taken, postponed: `hop to ${stage.release}: ${describePostponed(postponed)}` };
    looks.done(stage);
    found = await looks.look();
  }
  const last = nodes.filter(({ name, talosVersion }) => found.get(name)?.version !== talosVersion);
  const waits = await looks.raise(last.map(({ talosVersion }) => talosVersion));
  return {
    taken,
    ...(waits === undefined ? {} : { postponed: `Kubernetes before the last step: ${waits}` }),
  };
}

/** The nodes of a hop by name. Remaining work is computed from the rollout's list, so that one gets the hop's release too. */
function stageMembers({ nodes }: HopStage): ReadonlyMap<string, NodeWithHops> {
  const releases = new Map(nodes.map(({ name, talosVersion }) => [name, talosVersion]));
  return new Map(
    nodes.map((node) => [
      node.name,
      {
        ...node,
        rollout: {
          ...node.rollout,
          nodes: node.rollout.nodes.map((member) => {
            const talosVersion = releases.get(member.name);
            return { ...member, ...(talosVersion === undefined ? {} : { talosVersion }) };
          }),
        },
      },
    ]),
  );
}

function describePostponed(postponed: ReadonlyMap<string, string>): string {
  return [...postponed].map(([name, why]) => `${name}: ${why}`).join(" ");
}

/**
 * Starts each node when the nodes before it are done. After a failure no other node starts; running ones finish.
 * @returns why nodes were left unchanged, by name
 */
async function runInOrder(
  nodes: readonly NodeWithHops[],
  stage: HopStage,
  work: (node: NodeWithHops) => Promise<string | undefined>,
): Promise<Map<string, string>> {
  const due = stageMembers(stage);
  const finished = new Map<string, Promise<void>>();
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const postponed = new Map<string, string>();
  const failures: unknown[] = [];
  const beginNode = (name: string): Promise<void> => {
    const known = finished.get(name);
    if (known !== undefined) return known;
    const before = (byName.get(name)?.after ?? []).filter((other) => byName.has(other)).map(beginNode);
    const mine = (async () => {
      await Promise.all(before);
      const wanted = due.get(name);
      if (wanted === undefined || failures.length > 0) return;
      try {
        const why = await work(wanted);
        if (why !== undefined) postponed.set(name, why);
      } catch (error) {
        failures.push(error);
      }
    })();
    finished.set(name, mine);
    return mine;
  };
  await Promise.all(nodes.map(({ name }) => beginNode(name)));
  if (failures.length === 0) return postponed;
  const messages = failures.map((error) => (error instanceof Error ? error.message : String(error)));
  throw new Error(`hop to ${stage.release}: ${messages.join("\n")}`, { cause: failures[0] });
}

/** All steps of one node to one release. */
async function upgradeNodeToHop(
  surroundings: Surroundings,
  urn: string,
  wanted: NodeWithHops,
  signal: AbortSignal,
): Promise<{ taken?: CompletedHop; postponed?: string }> {
  const session = await Session.open(prefixStatusWithNode(surroundings, wanted.name), urn, wanted, signal);
  const { progress } = session.context;
  try {
    const outcome = await upgradeNode(session.context, true);
    if (!outcome.ok) throw outcome.error;
    const { facts, before, postponed } = outcome;
    if (postponed !== undefined) return { postponed };
    if (!outcome.upgraded) return {};
    progress.info(
      `${nodeLabel(wanted)} ${versionChangeVerb(before.version, facts.version)}: runs ${describeImage(facts.version, facts.schematicId)}, on its way (${progress.summary()})`,
    );
    const timeline = timelineAfter(
      {
        from: { version: before.version, schematicId: before.schematicId ?? "" },
        to: { version: wanted.talosVersion, schematicId: wanted.schematicId, image: wanted.image },
        steps: progress.times(),
        cordonedMs: outcome.cordonedMs,
      },
      undefined,
    );
    return { taken: { name: wanted.name, node: wanted.node, role: wanted.role, timeline } };
  } finally {
    session.close();
  }
}
