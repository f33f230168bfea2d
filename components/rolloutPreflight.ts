import * as pulumi from "@pulumi/pulumi";
import { secretOnce } from "./outputs.ts";
import type { NodeUpgradeArgs } from "./nodeUpgrade.ts";
import type { RolloutResourceInputs } from "./resourceInputs.ts";
import type { RolloutHops } from "./rolloutHops.ts";

/** What is a node's own in a preflight; the rest is shared. */
export type PreflightNodeArgs = Pick<
  NodeUpgradeArgs,
  "name" | "node" | "role" | "talosVersion" | "image" | "extensions" | "services" | "files"
> & {
  /** The schematic of its image. Default: `schematicId` of the rollout. */
  schematicId?: pulumi.Input<string>;
  /** What its image is called in the plan: `gpu`. Default: the schematic alone tells it. */
  imageName?: string;
};

/** All inputs mean what they mean for a NodeUpgrade. */
export interface RolloutPreflightArgs extends Omit<
  NodeUpgradeArgs,
  "name" | "node" | "role" | "talosVersion" | "image" | "extensions" | "services" | "files"
> {
  /** Every node of the rollout, by its name: a node that comes or goes is no change of the others. */
  nodes: Record<string, Omit<PreflightNodeArgs, "name">>;
  /** Releases to take nodes through first that are more than one minor release behind. Default: none; such a node is refused. */
  hops?: RolloutHops;
  /** Why machine configurations, machines and removals are refused, by any name: a preview fails with all of them. The state does not keep it. Default: nothing. */
  refusals?: Record<string, pulumi.Output<string | undefined>> | undefined;
}

/**
 * Looks at every node before the first one is touched: release, version skew, Kubernetes version, etcd and machine. If one of them could
 * not be upgraded the rollout is not begun, and the error names all of them. Then every node that is due fetches its image (`prePull`).
 *
 * Nodes that are more than one minor release behind are taken through the releases between first (`hops`), a complete rollout each, until every node is
 * one step from its release. That step is the node's own upgrade.
 *
 * It runs when what the nodes are to run has changed; where a rollout was stopped in the middle, the next node's upgrade has it done again first.
 * A preview of such a change reads the nodes too, shows what would happen as the input `plan`, and warns of what would stop the rollout.
 */
export class RolloutPreflight extends pulumi.CustomResource {
  /** Names of the nodes that the rollout was going to upgrade when it last began. */
  declare readonly due: pulumi.Output<string[]>;
  /**
   * What the rollout was going to do to each node when it was last previewed or begun, by the node's name, such as
   * `v1.12.7 with no schematic -> v1.13.9 with schematic c9078f941996…, one reboot`. Unknown while credentials are unknown.
   */
  declare readonly plan: pulumi.Output<Record<string, string> | undefined>;
  /** Why hops are left for a later deployment; undefined where none is. */
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
      // The plan says what happens to each node.
      pulumi.mergeOptions(opts, { hideDiffs: ["nodes", "rollout", "hops", "approval"] }),
    );
  }
}
