import * as pulumi from "@pulumi/pulumi";
import type { NodeUpgradeArgs } from "./nodeUpgrade.ts";

export interface ConfigurationGuardArgs {
  /** Name of the node, for messages. */
  name: string;
  /** Address of its Talos API. */
  node: string;
  role: "controlplane" | "worker";
  /** Addresses of all control planes: the others have to be well before this node's configuration is changed. */
  controlPlanes: string[];
  /** Talos API credentials (role os:admin), base64 as in a talosconfig. Always a secret. */
  clientConfiguration: NodeUpgradeArgs["clientConfiguration"];
  /** The machine configuration that the node is to get. Always a secret. */
  machineConfiguration: pulumi.Input<string>;
  /** The same with marks in place of its secrets: what previews compare line by line. */
  configuration: pulumi.Input<string>;
  /** The patches in it: what they set may differ from what the node has. Always a secret. */
  patches: pulumi.Input<string[]>;
  /** Paths of the machine configuration that the node may lose, such as `machine.sysctls`. Default: none. */
  acceptDropped?: string[] | undefined;
  /** How long the other control planes may take to be well. Default: 600. */
  timeoutSeconds?: number | undefined;
}

/**
 * Stands before a node's machine configuration. In previews it asks the node what it has and shows what the configuration changes there; a
 * configuration that would drop what the node has and nobody took over is refused. In a deployment it waits until the other control planes are
 * well, so that never two of them restart at once.
 *
 * Where nothing is to be applied it does not ask. A refresh reads the node's configuration, so that changes made by hand show up as drift.
 */
export class ConfigurationGuard extends pulumi.CustomResource {
  /** What the configuration changed on the node, a line each, without secrets. */
  declare readonly changes: pulumi.Output<string[] | undefined>;

  constructor(name: string, args: ConfigurationGuardArgs, opts?: pulumi.CustomResourceOptions) {
    super(
      "talos-node:index:ConfigurationGuard",
      name,
      {
        ...args,
        clientConfiguration: pulumi.secret(args.clientConfiguration),
        machineConfiguration: pulumi.secret(args.machineConfiguration),
        patches: pulumi.secret(args.patches),
      },
      opts,
    );
  }
}
