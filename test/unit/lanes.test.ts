import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { laneCount, planUpgradeLanes, type OrderedNode, type UpgradeStep } from "../../talos/lanes.ts";

/** When a node was being upgraded. */
interface Span {
  node: OrderedNode;
  start: number;
  end: number;
}

/** Runs a rollout as an engine without a parallelism limit would: every node starts as soon as it may. */
function simulate(steps: UpgradeStep<OrderedNode>[], durationOf: (name: string) => number): Span[] {
  const done = new Map<string, number>();
  const spans: Span[] = [];
  let waiting = steps;
  while (waiting.length > 0) {
    const free = waiting.filter((step) => step.after.every((name) => done.has(name)));
    if (free.length === 0) throw new Error(`nothing can start any more: ${JSON.stringify(waiting)}`);
    for (const { node, after } of free) {
      const start = Math.max(0, ...after.map((name) => done.get(name) ?? Infinity));
      const end = start + durationOf(node.name);
      spans.push({ node, start, end });
      done.set(node.name, end);
    }
    waiting = waiting.filter((step) => !done.has(step.node.name));
  }
  return spans;
}

/** The maximum number of overlapping spans. A node that ends frees its slot for the next one. */
function mostAtOnce(spans: Span[]): number {
  return Math.max(
    0,
    ...spans.map(({ start }) => spans.filter((other) => other.start <= start && start < other.end).length),
  );
}

/** The expected meaning of `25%` or `3`, computed independently of the code. */
function allowed(workers: number, maxUnavailable: number | string): number {
  if (typeof maxUnavailable === "number") return maxUnavailable;
  const share = workers * (Number(maxUnavailable.replace("%", "")) / 100);
  return share < 1 ? 1 : share + 1e-9;
}

const cluster = fc
  .record({
    controlPlanes: fc.integer({ min: 1, max: 9 }),
    workers: fc.integer({ min: 0, max: 40 }),
    seed: fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 49, maxLength: 49 }),
    shuffle: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 49, maxLength: 49 }),
    maxUnavailable: fc.oneof(
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 100 }).map((percent) => `${percent}%`),
    ),
  })
  .map(({ controlPlanes, workers, seed, shuffle, maxUnavailable }) => {
    const inOrder: OrderedNode[] = [
      ...Array.from({ length: controlPlanes }, (_, i) => ({ name: `cp${i}`, role: "controlplane" as const })),
      ...Array.from({ length: workers }, (_, i) => ({ name: `w${i}`, role: "worker" as const })),
    ];
    // Nodes may be in any order in a stack's file.
    const nodes = inOrder
      .map((node, index) => ({ node, key: shuffle[index] ?? 0 }))
      .sort((a, b) => a.key - b.key)
      .map(({ node }) => node);
    const durations = new Map(nodes.map((node, index) => [node.name, seed[index] ?? 1]));
    return { nodes, workers, maxUnavailable, durationOf: (name: string) => durations.get(name) ?? 1 };
  });

describe("the order of a rollout", () => {
  it("never upgrades two control planes at once, more workers than allowed, or a worker before the control planes are done", () => {
    fc.assert(
      fc.property(cluster, ({ nodes, workers, maxUnavailable, durationOf }) => {
        const spans = simulate(planUpgradeLanes(nodes, maxUnavailable), durationOf);
        const of = (role: string) => spans.filter(({ node }) => node.role === role);
        expect(mostAtOnce(of("controlplane"))).toBe(1);
        expect(mostAtOnce(of("worker"))).toBeLessThanOrEqual(allowed(workers, maxUnavailable));
        const lastControlPlane = Math.max(...of("controlplane").map(({ end }) => end));
        for (const { start } of of("worker")) expect(start).toBeGreaterThanOrEqual(lastControlPlane);
        expect(spans.map(({ node }) => node.name).sort()).toEqual(nodes.map(({ name }) => name).sort());
      }),
    );
  });

  it("uses every available slot: with equal durations, workers take ceil(workers / slots) rounds", () => {
    fc.assert(
      fc.property(cluster, ({ nodes, workers, maxUnavailable }) => {
        const spans = simulate(planUpgradeLanes(nodes, maxUnavailable), () => 1);
        const places = Math.floor(allowed(workers, maxUnavailable));
        const end = Math.max(...spans.map((span) => span.end));
        expect(end).toBe(nodes.length - workers + Math.ceil(workers / places));
      }),
    );
  });

  it("lists every node after those it waits for, so that resources can be created in this order", () => {
    fc.assert(
      fc.property(cluster, ({ nodes, maxUnavailable }) => {
        const made = new Set<string>();
        for (const { node, after } of planUpgradeLanes(nodes, maxUnavailable)) {
          for (const name of after) expect(made).toContain(name);
          made.add(node.name);
        }
      }),
    );
  });

  it("keeps the order of the settings within a role", () => {
    const nodes: OrderedNode[] = [
      { name: "w2", role: "worker" },
      { name: "cp3", role: "controlplane" },
      { name: "w1", role: "worker" },
      { name: "cp1", role: "controlplane" },
    ];
    expect(planUpgradeLanes(nodes, 1)).toEqual([
      { node: nodes[1], after: [] },
      { node: nodes[3], after: ["cp3"] },
      { node: nodes[0], after: ["cp1"] },
      { node: nodes[2], after: ["w2"] },
    ]);
  });

  it("stops after a failed node: later control planes, all workers, or the rest of its own lane", () => {
    const nodes: OrderedNode[] = [
      ...["cp1", "cp2"].map((name) => ({ name, role: "controlplane" as const })),
      ...["w1", "w2", "w3", "w4"].map((name) => ({ name, role: "worker" as const })),
    ];
    const steps = planUpgradeLanes(nodes, 2);
    const stoppedBy = (failed: string): string[] => {
      const stopped = new Set([failed]);
      for (const { node, after } of steps)
        if (after.some((name) => stopped.has(name))) stopped.add(node.name);
      return [...stopped].slice(1);
    };
    expect(stoppedBy("cp1")).toEqual(["cp2", "w1", "w2", "w3", "w4"]);
    expect(stoppedBy("cp2")).toEqual(["w1", "w2", "w3", "w4"]);
    expect(stoppedBy("w1")).toEqual(["w3"]);
    expect(stoppedBy("w4")).toEqual([]);
  });
});

describe("laneCount", () => {
  it.each([
    { workers: 10, maxUnavailable: 1, lanes: 1 },
    { workers: 10, maxUnavailable: 4, lanes: 4 },
    { workers: 3, maxUnavailable: 10, lanes: 3 },
    { workers: 10, maxUnavailable: "25%", lanes: 2 },
    { workers: 3, maxUnavailable: "25%", lanes: 1 },
    { workers: 7, maxUnavailable: "100%", lanes: 7 },
    { workers: 100, maxUnavailable: "29%", lanes: 29 },
    { workers: 0, maxUnavailable: 5, lanes: 1 },
    { workers: 0, maxUnavailable: "50%", lanes: 1 },
  ])("$maxUnavailable of $workers workers: $lanes at once", ({ workers, maxUnavailable, lanes }) => {
    expect(laneCount(workers, maxUnavailable)).toBe(lanes);
  });
});
