import type * as pulumi from "@pulumi/pulumi";
import type { KubernetesComponent } from "../talos/kubernetesImages.ts";
import type { IscsiRequirements } from "../talos/iscsi.ts";
import { planUpgradeLanes, type OrderedNode, type PoolRollout } from "../talos/lanes.ts";

/** An intermediate release of a node, and what must be present on it. */
export interface RolloutHop extends IscsiRequirements {
  /** `v1.11.6` */
  talosVersion: string;
  /** The installer image of that release. */
  image: pulumi.Input<string>;
}

/** The upgrade path of a node that may be several minor releases behind. */
export interface NodeHops {
  /** The name under which nodes with the same image and release share it: `default to v1.13.9`. */
  name: string;
  /** One release of each minor before the node's own, oldest first. */
  releases: RolloutHop[];
}

/** The paths of a rollout's nodes, each once: hundreds of nodes share one. */
export interface RolloutHops {
  /** Releases by path name, oldest first. */
  ways: Record<string, RolloutHop[]>;
  /** Each node's path by node name, and the nodes that come directly before it in every hop. */
  nodes: Record<string, { way: string; after: string[] }>;
  /** How to upgrade Kubernetes if a Talos release on the path needs a newer one. Absent: it is not upgraded, and such a path is refused. */
  kubernetes?: KubernetesHops;
}

/** Kubernetes upgrades between Talos releases. */
export interface KubernetesHops {
  /** One release of each minor, oldest first; the desired one is last. */
  releases: string[];
  /** Components whose images patches set, by node name: they are left to the patches. Default: none. */
  pinned?: Record<string, KubernetesComponent[]>;
  /** Continue even if something still uses APIs that a release doesn't have. Default: false. */
  acceptRemovedApis?: boolean;
}

/** The paths for resources that read all nodes. Empty if no node has one, so that states without it stay unchanged. */
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
