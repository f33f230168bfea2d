import { coded } from "../talos/errorCodes.ts";
import * as pulumi from "@pulumi/pulumi";
import type { TalosClusterNode } from "./talosCluster.ts";

/** The node that bootstraps a new cluster. */
export function firstControlPlane(nodes: TalosClusterNode[]): TalosClusterNode {
  const first = nodes.find((node) => node.role === "controlplane");
  if (first === undefined) {
    throw new pulumi.InputPropertyError({
      propertyPath: "nodes",
      reason: coded("arguments", "has no control plane; at least one node needs role controlplane"),
    });
  }
  return first;
}

/** Control planes first: a worker that joins needs a Kubernetes API. */
export function sortForApply(nodes: readonly TalosClusterNode[]): TalosClusterNode[] {
  return [
    ...nodes.filter((node) => node.role === "controlplane"),
    ...nodes.filter((node) => node.role === "worker"),
  ];
}

export function addressesOfRole(nodes: TalosClusterNode[], role: TalosClusterNode["role"]): string[] {
  return nodes.filter((node) => node.role === role).map(({ address }) => address);
}
