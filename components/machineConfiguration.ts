import * as pulumi from "@pulumi/pulumi";
import * as talos from "@pulumiverse/talos";
import { redactMachineConfig } from "../talos/redact.ts";
import type { ClientCredentials } from "../talos/secretsBundle.ts";

/** Talos API credentials: PEM, base64 as in a talosconfig. */
export type ClientConfiguration = Pick<
  ClientCredentials,
  "caCertificate" | "clientCertificate" | "clientKey"
>;

/** A node, its configuration, and how it gets there. */
export interface MachineConfigurationArgs {
  /** Address of the node's Talos API. */
  node: string;
  /** Talos API credentials, role os:admin. */
  clientConfiguration: pulumi.Input<ClientConfiguration>;
  /** The whole machine configuration (YAML, one or several documents), patches included. Secret. */
  configuration: pulumi.Output<string>;
  /**
   * How a changed configuration reaches the node: `auto` reboots where Talos needs it, `staged_if_needing_reboot` leaves such a change to the
   * node's next boot.
   */
  applyMode: "auto" | "staged_if_needing_reboot";
}

/**
 * One node's machine configuration, applied. It is secret as a whole, and engines show that as `[secret] => [secret]`; this component's own input is
 * the same text with a short mark in place of every secret, so that a preview shows what changes line by line.
 */
export class MachineConfiguration extends pulumi.ComponentResource {
  /** The configuration with marks in place of its secrets: safe to show. */
  declare readonly redacted: pulumi.Output<string>;

  constructor(name: string, args: MachineConfigurationArgs, opts?: pulumi.ComponentResourceOptions) {
    const redacted = pulumi.unsecret(args.configuration.apply((text) => redactMachineConfig(text)));
    super("talos-iscsi:index:MachineConfiguration", name, { node: args.node, configuration: redacted }, opts);
    this.redacted = redacted;
    new talos.machine.ConfigurationApply(
      name,
      {
        clientConfiguration: args.clientConfiguration,
        machineConfigurationInput: pulumi.secret(args.configuration),
        node: args.node,
        endpoint: args.node,
        applyMode: args.applyMode,
      },
      { parent: this, ...(opts?.dependsOn === undefined ? {} : { dependsOn: opts.dependsOn }) },
    );
    this.registerOutputs({ redacted });
  }
}
