import { hopsSchema, type Hop, type KubernetesOnPath } from "../../talos/inputs/hops.ts";

/** A node's own way, of an input that was checked. */
export function hopsOfNode(
  given: unknown,
  name: string,
): { hops?: Hop[]; after?: string[]; kubernetes?: KubernetesOnPath } {
  const hops = hopsSchema.safeParse(given).data;
  const own = hops !== undefined && Object.hasOwn(hops.nodes, name) ? hops.nodes[name] : undefined;
  if (hops === undefined || own === undefined) return {};
  return {
    ...{ hops: hops.ways[own.way] ?? [], after: own.after },
    ...(hops.kubernetes === undefined ? {} : { kubernetes: hops.kubernetes }),
  };
}
