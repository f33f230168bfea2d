/** The order of a rollout as plain data: which node waits for which. */

/** A node as far as its place in the order matters. */
export interface OrderedNode {
  name: string;
  role: "controlplane" | "worker";
}

/** A node and the nodes that must be finished before it is touched. */
export interface UpgradeStep<N extends OrderedNode> {
  node: N;
  /** Names of the nodes that come directly before it. */
  after: string[];
}

/**
 * How many workers may be down at once.
 * @param maxUnavailable a number, or a percentage such as `25%`: rounded down, as Kubernetes does for maxUnavailable, but at
 *   least one, since a rollout with none would never move.
 */
export function laneCount(workers: number, maxUnavailable: number | string): number {
  const wanted =
    typeof maxUnavailable === "number"
      ? maxUnavailable
      : Math.floor((workers * Number.parseInt(maxUnavailable, 10)) / 100);
  return Math.max(1, Math.min(wanted, Math.max(1, workers)));
}

/**
 * Control planes in a row, then workers in `laneCount` lanes: worker k waits for worker k - lanes, the first of each
 * lane for the last control plane. So at no time is more than one control plane or more than `laneCount` workers in work.
 */
export function upgradeLanes<N extends OrderedNode>(
  nodes: readonly N[],
  maxUnavailable: number | string,
): UpgradeStep<N>[] {
  const controlPlanes = nodes.filter((node) => node.role === "controlplane");
  const workers = nodes.filter((node) => node.role === "worker");
  const lanes = laneCount(workers.length, maxUnavailable);
  const last = controlPlanes.at(-1);
  return [
    ...controlPlanes.map((node, index) => ({ node, after: names(controlPlanes[index - 1]) })),
    ...workers.map((node, index) => ({ node, after: names(workers[index - lanes] ?? last) })),
  ];
}

function names(node: OrderedNode | undefined): string[] {
  return node === undefined ? [] : [node.name];
}
