import * as pulumi from "@pulumi/pulumi";
import type { NodeUpgradeArgs } from "./nodeUpgrade.ts";

/** What is a node's own in a preflight; the rest is shared. */
export type PreflightNodeArgs = Pick<
  NodeUpgradeArgs,
  "name" | "node" | "role" | "talosVersion" | "image" | "extensions" | "services" | "files"
>;

/** All inputs mean what they mean for a NodeUpgrade. */
export interface RolloutPreflightArgs extends Omit<
  NodeUpgradeArgs,
  "name" | "node" | "role" | "talosVersion" | "image" | "extensions" | "services" | "files"
> {
  /** Every node of the rollout. */
  nodes: PreflightNodeArgs[];
}

/**
 * Looks at every node before the first one is touched: release, version skew, Kubernetes version, etcd and machine. If one of them could
 * not be upgraded the rollout is not begun, and the error names all of them. Then every node that is due fetches its image (`prePull`).
 *
 * It runs when what the nodes are to run has changed, and not in previews.
 */
export class RolloutPreflight extends pulumi.CustomResource {
  /** Names of the nodes that the rollout was going to upgrade when it last began. */
  declare readonly due: pulumi.Output<string[]>;

  constructor(name: string, args: RolloutPreflightArgs, opts?: pulumi.CustomResourceOptions) {
    super(
      "talos-node:index:RolloutPreflight",
      name,
      {
        ...args,
        clientConfiguration: pulumi.secret(args.clientConfiguration),
        ...(args.kubeconfig === undefined ? {} : { kubeconfig: pulumi.secret(args.kubeconfig) }),
        due: undefined,
      },
      // Each node's own upgrade shows the same: here a changed list is enough.
      pulumi.mergeOptions(opts, { hideDiffs: ["nodes"] }),
    );
  }
}
