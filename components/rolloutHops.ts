import type * as pulumi from "@pulumi/pulumi";
import type { KubernetesComponent } from "../talos/kubernetesImages.ts";
import type { IscsiRequirements } from "../talos/iscsi.ts";
import { planUpgradeLanes, type OrderedNode, type PoolRollout } from "../talos/lanes.ts";

/** A release on a node's way, and what has to be there on it. */
export interface RolloutHop extends IscsiRequirements {
  /** `v1.11.6` */
  talosVersion: string;
  /** The installer image of that release. */
  image: pulumi.Input<string>;
}

/** The way of a node that may be several minor releases behind. */
export interface NodeHops {
  /** What nodes with the same image and release share it by: `default to v1.13.9`. */
  name: string;
  /** One release of each minor before the node's own, oldest first. */
  releases: RolloutHop[];
}

/** The ways of a rollout's nodes, each once: hundreds of nodes go the same way. */
export interface RolloutHops {
  /** Releases by the name of the way, oldest first. */
  ways: Record<string, RolloutHop[]>;
  /** The way of each node by its name, and the nodes that come directly before it in every hop. */
  nodes: Record<string, { way: string; after: string[] }>;
  /** How Kubernetes is upgraded where a Talos release on the way needs a newer one. Absent: it is not, and such a way is refused. */
  kubernetes?: KubernetesHops;
}

/** Upgrades of Kubernetes on the way of Talos. */
export interface KubernetesHops {
  /** One release of each minor, oldest first; the wanted one is the last. */
  releases: string[];
  /** Components whose images patches set, by the node's name: they are left to the patches. Default: none. */
  pinned?: Record<string, KubernetesComponent[]>;
  /** Go on although something still uses APIs that a release does not have. Default: false. */
  acceptRemovedApis?: boolean;
}

/** What looks at all nodes has to know of their ways. Empty where no node has one, so that states without it stay as they are. */
export function rolloutHops(
  nodes: readonly (OrderedNode & { way?: NodeHops | undefined })[],
  maxUnavailableWorkers: number | string,
  pools: Record<string, PoolRollout> | undefined,
  kubernetes?: KubernetesHops,
): { hops?: RolloutHops } {
  if (nodes.every(({ way }) => way === undefined)) return {};
  const hops: RolloutHops = { ways: {}, nodes: {}, ...(kubernetes === undefined ? {} : { kubernetes }) };
  for (const { node, after } of planUpgradeLanes(nodes, maxUnavailableWorkers, pools)) {
    if (node.way === undefined) continue;
    hops.ways[node.way.name] = node.way.releases;
    hops.nodes[node.name] = { way: node.way.name, after };
  }
  return { hops };
}
