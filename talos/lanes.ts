/** The order of a rollout as plain data: which node waits for which. */

/** The parts of a node that determine its order. */
export interface OrderedNode {
  name: string;
  role: "controlplane" | "worker";
  /** Its pool. Default: none. */
  pool?: string | undefined;
}

/** A node and the nodes that must be finished before it is touched. */
export interface UpgradeStep<N extends OrderedNode> {
  node: N;
  /** Names of the nodes directly before it. */
  after: string[];
}

/**
 * How many workers may be down at once.
 * @param maxUnavailable a number, or a percentage such as `25%`: rounded down, as Kubernetes does for maxUnavailable, but at least one, since a rollout with
 * zero would never proceed.
 */
export function laneCount(workers: number, maxUnavailable: number | string): number {
  const wanted =
    typeof maxUnavailable === "number"
      ? maxUnavailable
      : Math.floor((workers * Number.parseInt(maxUnavailable, 10)) / 100);
  return Math.max(1, Math.min(wanted, Math.max(1, workers)));
}

/** How the workers of a pool are upgraded. */
export interface PoolRollout {
  /** How many of them at once. Default: the limit for all workers. */
  maxUnavailable?: number | string | undefined;
  /** Pools with a lower number come first. Default: 0. */
  order?: number | undefined;
}

/** Workers that share a budget: those of one pool, or those in none. */
export interface WorkerGroup<N extends OrderedNode> {
  /** The pool; undefined for workers in none. */
  pool: string | undefined;
  nodes: N[];
  maxUnavailable: number | string;
}

/** The groups of workers in rollout order: by their number, then by their first node. */
export function groupWorkers<N extends OrderedNode>(
  nodes: readonly N[],
  maxUnavailable: number | string,
  pools: Readonly<Record<string, PoolRollout>> = {},
): WorkerGroup<N>[] {
  const groups = new Map<string | undefined, N[]>();
  for (const node of nodes.filter(({ role }) => role === "worker"))
    groups.set(node.pool, [...(groups.get(node.pool) ?? []), node]);
  const rolloutOf = (pool: string | undefined): PoolRollout =>
    pool !== undefined && Object.hasOwn(pools, pool) ? (pools[pool] ?? {}) : {};
  return [...groups]
    .sort(([a], [b]) => (rolloutOf(a).order ?? 0) - (rolloutOf(b).order ?? 0))
    .map(([pool, members]) => ({
      pool,
      nodes: members,
      maxUnavailable: rolloutOf(pool).maxUnavailable ?? maxUnavailable,
    }));
}

/**
 * Control planes in sequence, then workers group by group, each in `laneCount` lanes: worker k waits for worker k - lanes, the first of each lane for the last
 * control plane, or for the whole previous group. So there is never more than one control plane in progress, or more workers of a group than it has lanes.
 */
export function planUpgradeLanes<N extends OrderedNode>(
  nodes: readonly N[],
  maxUnavailable: number | string,
  pools: Readonly<Record<string, PoolRollout>> = {},
): UpgradeStep<N>[] {
  const controlPlanes = nodes.filter((node) => node.role === "controlplane");
  const steps = controlPlanes.map((node, index) => ({
    node,
    after: names(controlPlanes.slice(0, index).slice(-1)),
  }));
  let before: readonly N[] = controlPlanes.slice(-1);
  for (const { nodes: workers, maxUnavailable: share } of groupWorkers(nodes, maxUnavailable, pools)) {
    const lanes = laneCount(workers.length, share);
    for (const [index, node] of workers.entries())
      steps.push({
        node,
        after: names(index < lanes ? before : workers.slice(index - lanes, index - lanes + 1)),
      });
    // The last of each lane; their predecessors are done when they are.
    before = workers.slice(-lanes);
  }
  return steps;
}

function names(nodes: readonly OrderedNode[]): string[] {
  return nodes.map(({ name }) => name);
}
