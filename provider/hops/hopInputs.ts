import { hopsSchema, type Hop, type KubernetesOnPath } from "../../talos/inputs/hops.ts";
import { givenInputs } from "../../talos/inputs/defaults.ts";
import { nodeUpgradeSchema } from "../../talos/inputs/nodeUpgrade.ts";
import { nodesByName } from "../../talos/nodesByName.ts";
import { nodeUpgradeInputs } from "../inputs.ts";
import type { NodeWithHops } from "./path.ts";

/** Each node's inputs as its NodeUpgrade has them (its own and the shared ones), and its hops. */
export function preflightNodes(inputs: Record<string, unknown>): NodeWithHops[] {
  const { nodes, hops, ...shared } = inputs;
  // Shared inputs grow with the cluster: parse them once, not once per node.
  const ofAll = nodeUpgradeInputs(shared);
  const hopsOf = hopsByNode(hops);
  return nodesByName(nodes).map(([name, node]) => ({
    ...ofAll,
    ...givenInputs(nodeUpgradeSchema, node),
    ...hopsOf(name),
  }));
}

interface NodeHops {
  hops?: Hop[];
  after?: string[];
  kubernetes?: KubernetesOnPath;
}

/** Looks up each node's hops by name, from validated input. */
function hopsByNode(given: unknown): (name: string) => NodeHops {
  const hops = hopsSchema.safeParse(given).data;
  return (name) => {
    const own = hops !== undefined && Object.hasOwn(hops.nodes, name) ? hops.nodes[name] : undefined;
    if (hops === undefined || own === undefined) return {};
    return {
      ...{ hops: hops.ways[own.way] ?? [], after: own.after },
      ...(hops.kubernetes === undefined ? {} : { kubernetes: hops.kubernetes }),
    };
  };
}
