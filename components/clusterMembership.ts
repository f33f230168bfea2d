import * as pulumi from "@pulumi/pulumi";
import type { DeployedDriver, memberSchema, membershipSchema } from "../talos/inputs/clusterMembership.ts";
import type { NamedResourceInputs, ResourceInputs } from "./resourceInputs.ts";
import { secretOnce } from "./outputs.ts";
import type { DrainArgs } from "./drainArgs.ts";
import type { Endpoints } from "../talos/endpoint.ts";
import type { NodeUpgradeArgs } from "./nodeUpgrade.ts";

/** A node of the cluster, as needed for its removal. */
export interface ClusterMember {
  /** Address of its Talos API. */
  node: string;
  role: "controlplane" | "worker";
  /** What happens to the machine when the node is removed from the list. Default: the cluster's setting. */
  onRemove?: "keep" | "reset" | undefined;
}

export interface ClusterMembershipArgs {
  /** Every node, by name. A node from an earlier `up` that is listed under neither its name nor its address leaves the cluster. */
  nodes: Record<string, ClusterMember>;
  /**
   * What happens to the machine of a leaving node: `keep` leaves it alone; `reset` drains it, removes it from etcd, wipes its configuration and data, and boots
   * it into maintenance mode.
   */
  onRemove: "keep" | "reset";
  /** Endpoints of the nodes, as for a NodeUpgrade. Default: their own addresses. */
  endpoints?: Endpoints | undefined;
  /** Talos API credentials (role os:admin), base64 as in a talosconfig. Always a secret. */
  clientConfiguration: NodeUpgradeArgs["clientConfiguration"];
  /** For draining, and for deleting the node from Kubernetes. Always a secret. */
  kubeconfig?: pulumi.Input<string> | undefined;
  /** How to drain before a reset. PodDisruptionBudgets are honored. */
  drain: DrainArgs;
  /** Time limit for removing one node, in seconds. */
  timeoutSeconds: number;
  /** As for a NodeUpgrade, for removals with a reset. Default: no approval is required. */
  approval?: pulumi.Input<Record<string, unknown>> | undefined;
  /**
   * The CSI drivers that the program deploys, by name: removing one, or moving it to another pool or array, is refused while the cluster has volumes of it.
   * Default: none.
   */
  drivers?: Record<string, DeployedDriver> | undefined;
  /** Names of drivers whose volumes are given up: these may go or move. Not kept in the state. Default: none. */
  acceptDriverChanges?: string[] | undefined;
}

/**
 * The nodes of the cluster. Removing one from the list changes this resource: the preview shows what happens to the machine, and refuses a removal that etcd
 * would not survive. Deleting the resource, as `pulumi destroy` does, touches no machine.
 */
export class ClusterMembership extends pulumi.CustomResource {
  /** The nodes in the cluster as far as this stack knows: after a failed removal, more than the settings list. */
  declare readonly members: pulumi.Output<Record<string, ClusterMember>>;
  /** Why a removal is refused, in a preview: an input of the preflight, which fails with all refusals. In a deployment it is an error at once. */
  declare readonly refused: pulumi.Output<string | undefined>;

  constructor(name: string, args: ClusterMembershipArgs, opts?: pulumi.CustomResourceOptions) {
    const inputs: ResourceInputs<typeof membershipSchema> & {
      nodes: NamedResourceInputs<typeof memberSchema>;
    } = {
      ...args,
      clientConfiguration: secretOnce(args.clientConfiguration),
      ...(args.kubeconfig === undefined ? {} : { kubeconfig: secretOnce(args.kubeconfig) }),
    };
    // Stacks without drivers stay unchanged.
    if (Object.keys(args.drivers ?? {}).length === 0) delete inputs.drivers;
    if (args.acceptDriverChanges?.length === 0) delete inputs.acceptDriverChanges;
    super(
      "talos-node:index:ClusterMembership",
      name,
      {
        ...inputs,
        members: undefined,
        refused: undefined,
        ...(pulumi.runtime.isDryRun() ? { preview: true } : {}),
      },
      pulumi.mergeOptions(opts, { hideDiffs: ["approval"] }),
    );
  }
}
