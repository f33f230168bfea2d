import type { NodeFacts } from "../facts.ts";
import { remainingHops, type NodeWithHops } from "./path.ts";

/** Drain, reboot and verification of a server. No durations of these nodes are known here; reports use those of their last upgrades. */
const assumedMinutes = 5;

/**
 * The whole path in one sentence; none if every node is one step from its release.
 * @param all every node, for the order; `due` are those that don't run their desired release
 */
export function hopPreviewNotes(
  all: readonly NodeWithHops[],
  due: readonly { wanted: NodeWithHops; facts: Pick<NodeFacts, "version"> }[],
): string[] {
  const ways = due.map(({ wanted, facts }) => ({ wanted, hops: remainingHops(facts, wanted) }));
  if (ways.every(({ hops }) => hops.length === 0)) return [];
  const releases = [...new Set(ways.flatMap(({ hops }) => hops.map(({ talosVersion }) => talosVersion)))];
  const ends = [...new Set(ways.map(({ wanted }) => wanted.talosVersion))];
  const reboots = ways.reduce((sum, { hops }) => sum + hops.length + 1, 0);
  const minutes = countSequentialUpgrades(all, ways) * assumedMinutes;
  return [
    `the rollout goes through ${releases.sort(compareByRelease).join(", ")} to ${ends.sort(compareByRelease).join(", ")}, a complete rollout each: ` +
      `${reboots} reboots, about ${minutes} minutes, with an assumed ${assumedMinutes} minutes for a node and release`,
  ];
}

function compareByRelease(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

/** How many upgrades run in sequence: per hop the longest chain of nodes that take it, plus the last step. */
function countSequentialUpgrades(
  all: readonly NodeWithHops[],
  ways: readonly { wanted: NodeWithHops; hops: readonly { talosVersion: string }[] }[],
): number {
  const releases = new Set(ways.flatMap(({ hops }) => hops.map(({ talosVersion }) => talosVersion)));
  const taking = [...releases].map((release) =>
    ways.filter(({ hops }) => hops.some(({ talosVersion }) => talosVersion === release)),
  );
  return [...taking, ways].reduce(
    (sum, nodes) => sum + longestUpgradeChain(all, new Set(nodes.map(({ wanted }) => wanted.name))),
    0,
  );
}

/** How many of the due nodes must be upgraded in sequence. */
function longestUpgradeChain(all: readonly NodeWithHops[], due: ReadonlySet<string>): number {
  const lengths = new Map<string, number>();
  const byName = new Map(all.map((node) => [node.name, node]));
  const lengthOf = (name: string): number => {
    const known = lengths.get(name);
    if (known !== undefined) return known;
    lengths.set(name, 0);
    const before = (byName.get(name)?.after ?? []).map(lengthOf);
    const length = (due.has(name) ? 1 : 0) + Math.max(0, ...before);
    lengths.set(name, length);
    return length;
  };
  return Math.max(0, ...all.map(({ name }) => lengthOf(name)));
}
