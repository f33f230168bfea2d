import { z } from "zod";
import type { Problem } from "../components/csi/problems.ts";
import { isRecord } from "../talos/values.ts";
import { givenNodes, type GivenNode, type GivenSettings } from "./given.ts";

/** Pools: settings that nodes share. */

/** A cluster with pools and unchecked nodes: the settings of pools are copied into nodes before the schema checks them. */
const clusterOfPools = z.looseObject({
  pools: z.record(z.string(), z.unknown()),
  nodes: z.array(z.unknown()).catch([]),
});

/** Settings with pools expanded into nodes, and the way back to paths in the stack's file. */
export interface ExpandedPools {
  /** The settings with every node complete, as if there were no pools. */
  raw: Record<string, unknown>;
  /** The path in the stack's file of a path in `raw`. */
  relocate: (path: string) => string;
}

/**
 * Copies each pool's settings into its nodes, so that rules see only nodes. `relocate` maps the path of a problem back to the pool, so that a mistake in
 * a pool is reported once, whichever nodes show it.
 */
export function expandPools(raw: Record<string, unknown>): ExpandedPools {
  const given = clusterOfPools.safeParse(raw["cluster"]).data;
  if (given === undefined) return { raw, relocate: (path) => path };
  const { pools } = given;
  const places = new Map<string, string>();
  const shifts = new Map<string, { path: string; length: number }>();
  const nodes = given.nodes.map((node, index) => {
    const name = isRecord(node) ? node["pool"] : undefined;
    const pool = typeof name === "string" ? pools[name] : undefined;
    if (!isRecord(node) || !isRecord(pool)) return node;
    const here = `cluster.nodes[${index}]`;
    const there = `cluster.pools.${String(name)}`;
    const whole = { ...node };
    for (const key of ["image", "talosVersion", "iscsi"]) {
      if (node[key] !== undefined || pool[key] === undefined) continue;
      whole[key] = pool[key];
      places.set(`${here}.${key}`, `${there}.${key}`);
    }
    for (const key of ["labels", "taints"]) {
      const [own, shared] = [node[key], pool[key]];
      if (!isRecord(shared) || (own !== undefined && !isRecord(own))) continue;
      whole[key] = { ...shared, ...own };
      for (const entry of Object.keys(shared))
        if (own?.[entry] === undefined) places.set(`${here}.${key}.${entry}`, `${there}.${key}.${entry}`);
    }
    for (const key of ["documents", "patches"]) {
      const [own, shared] = [node[key], pool[key]];
      if (!Array.isArray(shared) || (own !== undefined && !Array.isArray(own))) continue;
      whole[key] = [...(shared as unknown[]), ...((own as unknown[] | undefined) ?? [])];
      shifts.set(`${here}.${key}`, { path: `${there}.${key}`, length: shared.length });
    }
    return whole;
  });
  const cluster = { ...given, nodes };
  return { raw: { ...raw, cluster }, relocate };

  function relocate(path: string): string {
    const place = places.get(path);
    if (place !== undefined) return place;
    const [, list = "", index = "", rest = ""] =
      /^(cluster\.nodes\[\d+\]\.(?:documents|patches))\[(\d+)\](.*)$/.exec(path) ?? [];
    const shift = shifts.get(list);
    if (shift === undefined) return path;
    const position = Number(index);
    return position < shift.length
      ? `${shift.path}[${position}]${rest}`
      : `${list}[${position - shift.length}]${rest}`;
  }
}

/** Pools that no node names, where nodes are given, with the path of each: they are checked by themselves. */
export function poolsWithoutNodes(
  given: Pick<GivenSettings, "cluster">,
): { path: string; pool: GivenNode }[] {
  const nodes = givenNodes(given);
  if (nodes.length === 0) return [];
  const named = new Set(nodes.map(({ pool }) => pool));
  return Object.entries(given.cluster?.pools ?? {})
    .filter(([name]) => !named.has(name))
    .map(([name, pool]) => ({ path: `cluster.pools.${name}`, pool: pool ?? {} }));
}

/** Checks for nodes of unknown pools, and for settings of pools without nodes. */
export function checkPools(given: GivenSettings, problems: Problem[], warnings: Problem[]): void {
  const nodes = givenNodes(given);
  const declared = Object.keys(given.cluster?.pools ?? {});
  const named = new Set(nodes.map(({ pool }) => pool));
  nodes.forEach((node, index) => {
    const name = node.pool;
    if (name === undefined || declared.includes(name)) return;
    const known = declared.length === 0 ? "no pools are set" : `available: ${declared.join(", ")}`;
    problems.push({
      path: `cluster.nodes[${index}].pool`,
      reason: `is ${name}, but there is no cluster.pools.${name}; ${known}`,
    });
  });
  warnings.push(...poolsWithoutNodes(given).map(({ path }) => ({ path, reason: "has no nodes" })));
  for (const name of Object.keys(given.upgrade?.pools ?? {})) {
    const path = `upgrade.pools.${name}`;
    if (!declared.includes(name))
      problems.push({ path, reason: `is for an unknown pool; there is no cluster.pools.${name}` });
    else if (named.has(name) && !nodes.some(({ pool, role }) => pool === name && role === "worker"))
      warnings.push({
        path,
        reason: "has no effect: the pool has no workers, and control planes always go one at a time",
      });
  }
}
