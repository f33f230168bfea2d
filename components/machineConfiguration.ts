import * as pulumi from "@pulumi/pulumi";
import * as talos from "@pulumiverse/talos";
import { redactMachineConfig } from "../talos/redact.ts";
import type { ClientCredentials } from "../talos/secretsBundle.ts";
import { ConfigurationGuard } from "./configurationGuard.ts";

/** Talos API credentials: PEM, base64 as in a talosconfig. */
export type ClientConfiguration = Pick<
  ClientCredentials,
  "caCertificate" | "clientCertificate" | "clientKey"
>;

/** A node, its configuration, and how it gets there. */
export interface MachineConfigurationArgs {
  /** Name of the node, for messages. */
  name: string;
  /** Address of the node's Talos API. */
  node: string;
  role: "controlplane" | "worker";
  /** Addresses of all control planes. */
  controlPlanes: string[];
  /** Talos API credentials, role os:admin. */
  clientConfiguration: pulumi.Input<ClientConfiguration>;
  /** The whole machine configuration (YAML, one or several documents), patches included. Secret. */
  configuration: pulumi.Output<string>;
  /** The patches in it. */
  patches: pulumi.Output<string[]>;
  /** Paths of the machine configuration that the node may lose. */
  acceptDropped: string[];
}

/**
 * One node's machine configuration, guarded and applied. It is secret as a whole, and engines show that as `[secret] => [secret]`; the guard has the
 * same text with a short mark in place of every secret, and what it changes on the node, so that a preview shows both line by line.
 */
export class MachineConfiguration extends pulumi.ComponentResource {
  /** The configuration with marks in place of its secrets: safe to show. */
  declare readonly redacted: pulumi.Output<string>;

  constructor(name: string, args: MachineConfigurationArgs, opts?: pulumi.ComponentResourceOptions) {
    super("talos-iscsi:index:MachineConfiguration", name, { node: args.node }, opts);
    this.redacted = pulumi.unsecret(args.configuration.apply((text) => redactMachineConfig(text)));
    const { configuration, ...node } = args;
    const after = opts?.dependsOn === undefined ? {} : { dependsOn: opts.dependsOn };
    const guard = new ConfigurationGuard(
      name,
      { ...node, machineConfiguration: configuration, configuration: this.redacted },
      { parent: this, ...after },
    );
    new talos.machine.ConfigurationApply(
      name,
      {
        clientConfiguration: args.clientConfiguration,
        machineConfigurationInput: pulumi.secret(configuration),
        node: args.node,
        endpoint: args.node,
        // A reboot is left to the upgrade, which drains first and takes one control plane at a time. A machine without a configuration needs none.
        applyMode: "staged_if_needing_reboot",
      },
      { parent: this, ...after, dependsOn: [guard] },
    );
    this.registerOutputs({ redacted: this.redacted });
  }
}
