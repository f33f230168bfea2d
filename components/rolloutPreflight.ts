import * as pulumi from "@pulumi/pulumi";
import { secretOnce } from "./outputs.ts";
import type { NodeUpgradeArgs } from "./nodeUpgrade.ts";
import type { RolloutResourceInputs } from "./resourceInputs.ts";
import type { RolloutHops } from "./rolloutHops.ts";

/** The node-specific inputs of a preflight; the rest is shared. */
export type PreflightNodeArgs = Pick<
  NodeUpgradeArgs,
  "name" | "node" | "role" | "talosVersion" | "image" | "extensions" | "services" | "files"
> & {
  /** The schematic of its image. Default: `schematicId` of the rollout. */
  schematicId?: pulumi.Input<string>;
  /** The image's name in the plan: `gpu`. Default: only the schematic is shown. */
  imageName?: string;
};

/** All inputs have the same meaning as for a NodeUpgrade. */
export interface RolloutPreflightArgs extends Omit<
  NodeUpgradeArgs,
  "name" | "node" | "role" | "talosVersion" | "image" | "extensions" | "services" | "files"
> {
  /** Every node of the rollout, by name: adding or removing one doesn't change the others. */
  nodes: Record<string, Omit<PreflightNodeArgs, "name">>;
  /** Releases that nodes more than one minor release behind go through first. Default: none; such a node is refused. */
  hops?: RolloutHops;
  /**
   * Why machine configurations, machines and removals are refused, keyed by any name: a preview fails with all of them. Not kept in the state. Default:
   * nothing.
   */
  refusals?: Record<string, pulumi.Output<string | undefined>> | undefined;
}

/**
 * Checks every node before the first one is touched: release, version skew, Kubernetes version, etcd and machine. If one of them can't be upgraded the rollout
 * doesn't start, and the error names all of them. Then every due node pulls its image (`prePull`).
 *
 * Nodes more than one minor release behind first go through the releases in between (`hops`), a complete rollout each, until every node is one step from its
 * release. That step is the node's own upgrade.
 *
 * It runs when the nodes' desired images have changed; after an interrupted rollout, the next node's upgrade runs it again first. A preview of such a change
 * reads the nodes too, shows what would happen as the input `plan`, and warns about what would block the rollout.
 */
export class RolloutPreflight extends pulumi.CustomResource {
  /** Names of the nodes that were due when the rollout last started. */
  declare readonly due: pulumi.Output<string[]>;
  /**
   * What the rollout would do to each node when it was last previewed or started, by node name, such as `v1.12.7 with no schematic -> v1.13.9 with schematic
   * c9078f941996…, one reboot`. Unknown while credentials are unknown.
   */
  declare readonly plan: pulumi.Output<Record<string, string> | undefined>;
  /** Why hops are left for a later deployment; undefined if none are. */
  declare readonly postponed: pulumi.Output<string | undefined>;

  constructor(name: string, args: RolloutPreflightArgs, opts?: pulumi.CustomResourceOptions) {
    const { refusals, ...rollout } = args;
    const inputs: RolloutResourceInputs = {
      ...rollout,
      clientConfiguration: secretOnce(args.clientConfiguration),
      ...(args.kubeconfig === undefined ? {} : { kubeconfig: secretOnce(args.kubeconfig) }),
    };
    super(
      "talos-node:index:RolloutPreflight",
      name,
      {
        ...inputs,
        refusals,
        due: undefined,
        plan: undefined,
        postponed: undefined,
        hopsTaken: undefined,
      },
      // The plan shows what happens to each node.
      pulumi.mergeOptions(opts, { hideDiffs: ["nodes", "rollout", "hops", "approval"] }),
    );
  }
}
