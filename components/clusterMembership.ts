import * as pulumi from "@pulumi/pulumi";
import type { memberSchema, membershipSchema } from "../talos/inputs/clusterMembership.ts";
import type { NamedResourceInputs, ResourceInputs } from "./resourceInputs.ts";
import { secretOnce } from "./outputs.ts";
import type { DrainArgs } from "./drainArgs.ts";
import type { Endpoints } from "../talos/endpoint.ts";
import type { NodeUpgradeArgs } from "./nodeUpgrade.ts";

/** A node of the cluster, as far as leaving it is concerned. */
export interface ClusterMember {
  /** Address of its Talos API. */
  node: string;
  role: "controlplane" | "worker";
  /** What happens to the machine when the node is taken off the list. Default: that of the cluster. */
  onRemove?: "keep" | "reset" | undefined;
}

export interface ClusterMembershipArgs {
  /** Every node, by its name. One that an earlier `up` had and that is no longer there, neither by name nor by address, leaves the cluster. */
  nodes: Record<string, ClusterMember>;
  /**
   * What happens to the machine of a node that leaves: `keep` leaves it alone; with `reset` it is drained, leaves etcd, loses its
   * configuration and its data, and boots into maintenance mode.
   */
  onRemove: "keep" | "reset";
  /** Where nodes are reached, as for a NodeUpgrade. Default: at their own addresses. */
  endpoints?: Endpoints | undefined;
  /** Talos API credentials (role os:admin), base64 as in a talosconfig. Always a secret. */
  clientConfiguration: NodeUpgradeArgs["clientConfiguration"];
  /** For draining, and for taking the node out of Kubernetes. Always a secret. */
  kubeconfig?: pulumi.Input<string> | undefined;
  /** Draining before a reset. PodDisruptionBudgets are honoured. */
  drain: DrainArgs;
  /** How long taking out one node may take, in seconds. */
  timeoutSeconds: number;
  /** As for a NodeUpgrade, of removals with a reset. Default: no approval is asked for. */
  approval?: pulumi.Input<Record<string, unknown>> | undefined;
}

/**
 * The nodes of the cluster. Taking one off the list is a change of this resource, which says in the preview what happens to the machine, and
 * refuses what etcd would not survive. Deleting the resource, as `pulumi destroy` does, touches no machine.
 */
export class ClusterMembership extends pulumi.CustomResource {
  /** Who is in the cluster as far as this stack knows: after a removal that failed, more than the settings list. */
  declare readonly members: pulumi.Output<Record<string, ClusterMember>>;
  /** Why a removal is refused, in a preview: an input of the preflight, which fails with all that is refused. In a deployment it is an error at once. */
  declare readonly refused: pulumi.Output<string | undefined>;

  constructor(name: string, args: ClusterMembershipArgs, opts?: pulumi.CustomResourceOptions) {
    const inputs: ResourceInputs<typeof membershipSchema> & {
      nodes: NamedResourceInputs<typeof memberSchema>;
    } = {
      ...args,
      clientConfiguration: secretOnce(args.clientConfiguration),
      ...(args.kubeconfig === undefined ? {} : { kubeconfig: secretOnce(args.kubeconfig) }),
    };
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
