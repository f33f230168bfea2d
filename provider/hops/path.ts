import type { Hop, KubernetesOnPath } from "../../talos/inputs/hops.ts";
import type { NodeUpgradeInputs } from "../../talos/inputs/nodeUpgrade.ts";
import { compareEtcdMinors, etcdMinor, etcdVersionOf, isUnsafeBefore36 } from "../../talos/etcdVersions.ts";
import { compareVersions, contractOf, talosMinor, type Contract } from "../../talos/version.ts";
import { runsWantedImage, type NodeFacts } from "../facts.ts";

/** One node's inputs and upgrade path. Without hops, a node that is several minor releases behind is refused. */
export interface NodeWithHops extends NodeUpgradeInputs {
  /** One release of each minor before the desired one, oldest first. */
  hops?: Hop[];
  /** Names of the nodes that must finish first. */
  after?: string[];
  /** Absent: a path that needs a Kubernetes upgrade is refused. */
  kubernetes?: KubernetesOnPath;
}

type RunningImage = Pick<NodeFacts, "version" | "schematicId" | "extensions">;

/**
 * The releases a node still has to go through before the desired one: every minor in between, and the last patch of its own minor if etcd requires it. None on
 * the way back, and none between adjacent minors.
 */
export function remainingHops({ version }: Pick<RunningImage, "version">, node: NodeWithHops): Hop[] {
  const [from, to] = [talosMinor(version), talosMinor(node.talosVersion)];
  const { hops = [] } = node;
  if (from === undefined || to === undefined || from >= to) return [];
  const between = hops.filter((hop) => {
    const minor = talosMinor(hop.talosVersion);
    return minor !== undefined && from < minor && minor < to;
  });
  const own = hops.find((hop) => talosMinor(hop.talosVersion) === from);
  const next = between[0]?.talosVersion ?? node.talosVersion;
  const isNeeded =
    own !== undefined &&
    node.role === "controlplane" &&
    compareVersions(version, own.talosVersion) < 0 &&
    etcdNeedsPatch(version, next);
  return isNeeded ? [own, ...between] : between;
}

/** etcd 3.6 must not follow an early 3.5, whichever Talos minor ships it. */
function etcdNeedsPatch(version: string, next: string): boolean {
  const [now, then] = [etcdVersionOf(version), etcdMinor(etcdVersionOf(next) ?? "")];
  if (now === undefined || then === undefined) return false;
  return isUnsafeBefore36(now) && compareEtcdMinors(then, { major: 3, minor: 6 }) >= 0;
}

/** The hop that a node already runs: an earlier run may have stopped there before verifying it. */
export function unverifiedHop(running: RunningImage, node: NodeWithHops): NodeWithHops | undefined {
  const to = talosMinor(node.talosVersion);
  const hop = node.hops?.find((one) => one.talosVersion === running.version);
  if (hop === undefined || to === undefined || (talosMinor(hop.talosVersion) ?? to) >= to) return undefined;
  const wanted = inputsForHop(node, hop);
  return runsWantedImage(running, wanted) ? wanted : undefined;
}

/** The minor releases between the running and the desired one that have no hop: `v1.11`. */
export function missingMinors(version: string, node: NodeWithHops): Contract[] {
  const [from, to] = [talosMinor(version), talosMinor(node.talosVersion)];
  if (from === undefined || to === undefined || node.hops === undefined) return [];
  const there = new Set(remainingHops({ version }, node).map(({ talosVersion }) => contractOf(talosVersion)));
  return Array.from(
    { length: Math.max(0, to - from - 1) },
    (_, index): Contract => `v1.${from + index + 1}`,
  ).filter((contract) => !there.has(contract));
}

/** A node's inputs for one hop: another release, the rest unchanged. The Kubernetes release of the settings applies after the last step. */
function inputsForHop({ kubernetesVersion: _last, ...node }: NodeWithHops, hop: Partial<Hop>): NodeWithHops {
  return { ...node, ...hop };
}

/** One step of a node, and what it runs before it. */
export interface UpgradeLeg {
  from: string;
  wanted: NodeWithHops;
}

/** Every step of a node that has hops left, including the one to the desired release; none for any other node. */
export function upgradeLegs(running: Pick<RunningImage, "version">, node: NodeWithHops): UpgradeLeg[] {
  const hops = remainingHops(running, node);
  if (hops.length === 0) return [];
  const steps = [...hops.map((hop) => inputsForHop(node, hop)), node];
  return steps.map((wanted, index) => ({ from: steps[index - 1]?.talosVersion ?? running.version, wanted }));
}

/** What a node runs, and every release it still goes to. */
export function releasesAhead(
  { version }: Pick<RunningImage, "version">,
  node: NodeWithHops,
): [string, ...string[]] {
  return [version, ...remainingHops({ version }, node).map((hop) => hop.talosVersion), node.talosVersion];
}

/** The next stage: the nodes that are furthest behind, and their next release. */
export interface HopStage {
  /** `v1.10.9`; several if nodes have their own releases. */
  release: string;
  nodes: NodeWithHops[];
}

/**
 * The next hop; undefined if every node is at most one step from its release. Nodes further ahead wait for it. A node whose own release is of that minor goes there with it: left to
 * its own upgrade, the others' hops would leave it several minor releases behind.
 */
export function nextHopStage(
  nodes: readonly NodeWithHops[],
  found: ReadonlyMap<string, Pick<RunningImage, "version">>,
): HopStage | undefined {
  let hasHops = false;
  const next = nodes.flatMap((node) => {
    const running = found.get(node.name);
    const [hop] = running === undefined ? [] : remainingHops(running, node);
    hasHops ||= hop !== undefined;
    if (hop !== undefined) return [inputsForHop(node, hop)];
    return running !== undefined && isOlderMinor(running.version, node.talosVersion)
      ? [inputsForHop(node, {})]
      : [];
  });
  if (!hasHops) return undefined;
  const minor = Math.min(...next.map(({ talosVersion }) => talosMinor(talosVersion) ?? Infinity));
  const due = next.filter(({ talosVersion }) => talosMinor(talosVersion) === minor);
  return { release: [...new Set(due.map(({ talosVersion }) => talosVersion))].join(", "), nodes: due };
}

function isOlderMinor(release: string, than: string): boolean {
  const [one, other] = [talosMinor(release), talosMinor(than)];
  return one !== undefined && other !== undefined && one < other;
}

/** Whether a node goes now: it takes this hop, or no node has one left. */
export function isNextIn(stage: HopStage | undefined, { name }: Pick<NodeWithHops, "name">): boolean {
  return stage === undefined || stage.nodes.some((node) => node.name === name);
}
