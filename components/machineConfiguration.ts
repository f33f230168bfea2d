import * as pulumi from "@pulumi/pulumi";
import type { nodeConfigurationSchema } from "../talos/inputs/nodeConfiguration.ts";
import type { ResourceInputs } from "./resourceInputs.ts";
import type { Endpoints } from "../talos/endpoint.ts";
import { redactMachineConfig } from "../talos/redact.ts";
import { definedOnly, secretOnce } from "./outputs.ts";
import type { DrainArgs } from "./drainArgs.ts";
import type { StorageGateArgs } from "./storageGateArgs.ts";
import type { KnownSecret } from "../talos/secrecy/known.ts";
import type { ClientCredentials } from "../talos/secretsBundle.ts";

/** Talos API credentials: PEM, base64 as in a talosconfig. */
export type ClientConfiguration = Pick<
  ClientCredentials,
  "caCertificate" | "clientCertificate" | "clientKey"
>;

/** A node, its configuration, and the control planes that must be healthy before it changes. */
export interface NodeConfigurationArgs {
  /** Name of the node, for messages. */
  name: string;
  /** Address of the node's Talos API. Another address is another machine: the resource is replaced, which touches neither machine. */
  node: string;
  role: "controlplane" | "worker";
  /** Endpoints of the node and the control planes, as for a NodeUpgrade. Default: their own addresses. */
  endpoints?: Endpoints | undefined;
  /** Addresses of all control planes: the others must be healthy before this node's configuration changes. */
  controlPlanes: string[];
  /** Talos API credentials (role os:admin), base64 as in a talosconfig. Always a secret. */
  clientConfiguration: pulumi.Input<ClientConfiguration>;
  /** The complete machine configuration (YAML, one or several documents), patches included. Always a secret. */
  machineConfiguration: pulumi.Output<string>;
  /** The patches it contains: what they set may differ from what the node has. Always a secret. */
  patches: pulumi.Input<string[]>;
  /** Paths of the machine configuration that the node may lose, such as `machine.sysctls`. Default: none. */
  acceptDropped?: string[] | undefined;
  /** Values that must never be shown, whatever their names. Always a secret. Default: none. */
  hidden?: readonly KnownSecret[] | undefined;
  /** The contract the configuration is generated for, such as `v1.12`. A change is refused in the preview (siderolabs/talos#13885). */
  contract: pulumi.Input<string>;
  /** The contract the cluster's secrets were generated for, if this stack generated them. It must equal `contract`. Default: unknown. */
  createdWith?: pulumi.Input<string> | undefined;
  /**
   * Time limit for the control planes to be healthy (the others before the change, all of them after it), in seconds. Changing it alone doesn't change the
   * node. Default: 600.
   */
  timeoutSeconds?: number | undefined;
  /**
   * How to drain the node for a change that restarts its kubelet, if a deployed driver would log sessions out. Read when needed: changing it alone doesn't
   * change the node. Default: enabled, 300 seconds.
   */
  drain?: DrainArgs | undefined;
  /** Time limit for storage to recover after such a drain, in seconds. Default: 300. */
  storageGate?: StorageGateArgs | undefined;
  /** What to do if a machine lacks hardware that its first configuration names. Default: refuse. */
  checkHardware?: "refuse" | "warn" | "off" | undefined;
  /** As for a NodeUpgrade, for a change of the configuration. Default: no approval is required. */
  approval?: pulumi.Input<Record<string, unknown>> | undefined;
}

/**
 * One node's machine configuration. In previews it reads the node and shows what the configuration changes there; a configuration that would drop values that
 * the node has and nobody adopted is refused. In a deployment it waits until the other control planes are healthy, does a dry run, and applies the
 * configuration without a reboot, or staged for the next boot if the change needs one.
 *
 * If there is nothing to apply, it doesn't contact the node. A refresh reads the node's configuration, so that manual changes show as drift. Deleting the
 * resource leaves the machine as it is.
 */
export class NodeConfiguration extends pulumi.CustomResource {
  /** The configuration with secrets redacted: safe to show. */
  readonly redacted: pulumi.Output<string>;
  /** What this stack's applies changed on the node, one line each without secrets, newest last. */
  declare readonly changes: pulumi.Output<string[] | undefined>;
  /** The lines in which the node differs from its configuration, as last read. Absent: none. */
  declare readonly changedByHand: pulumi.Output<string[] | undefined>;
  /**
   * Why the configuration is refused, in a preview: an input of the preflight, which fails with the refusals of all nodes. In a deployment it is an error at
   * once.
   */
  declare readonly refused: pulumi.Output<string | undefined>;

  constructor(name: string, args: NodeConfigurationArgs, opts?: pulumi.CustomResourceOptions) {
    const { hidden, ...given } = args;
    const configuration = pulumi.unsecret(
      args.machineConfiguration.apply((text) => redactMachineConfig(text, { hidden: args.hidden })),
    );
    const inputs: ResourceInputs<typeof nodeConfigurationSchema> = {
      ...definedOnly(given),
      // Absent if empty, so that states without it stay unchanged.
      ...(hidden === undefined || hidden.length === 0 ? {} : { hidden: secretOnce(hidden) }),
      clientConfiguration: secretOnce(args.clientConfiguration),
      machineConfiguration: secretOnce(args.machineConfiguration),
      patches: secretOnce(args.patches),
      configuration,
    };
    super(
      "talos-node:index:NodeConfiguration",
      name,
      {
        ...inputs,
        changes: undefined,
        changedByHand: undefined,
        refused: undefined,
        // One node's refusal must not end a preview before the others are checked.
        ...(pulumi.runtime.isDryRun() ? { preview: true } : {}),
      },
      // `changes` shows the same once, in readable form.
      pulumi.mergeOptions(opts, {
        hideDiffs: ["configuration", "machineConfiguration", "patches", "hidden", "approval"],
      }),
    );
    this.redacted = configuration;
  }
}

/**
 * What a stack of 0.1.0 has instead of a NodeConfiguration: a component that contains a guard. The guard's state becomes the resource's; the component and the
 * Talos provider's ConfigurationApply are deleted, which touches no machine.
 */
export function formerConfiguration(name: string, parent: pulumi.Resource): pulumi.Alias {
  return {
    type: "talos-node:index:ConfigurationGuard",
    // Like pulumi.createUrn, with one Output instead of five.
    parent: parent.urn.apply(
      (urn) => `${urn.slice(0, urn.lastIndexOf("::"))}$talos-iscsi:index:MachineConfiguration::${name}`,
    ),
  };
}
