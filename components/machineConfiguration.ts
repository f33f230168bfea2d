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

/** A node, its configuration, and who has to be well before it changes. */
export interface NodeConfigurationArgs {
  /** Name of the node, for messages. */
  name: string;
  /** Address of the node's Talos API. Another address is another machine: the resource is replaced, which touches neither of the two. */
  node: string;
  role: "controlplane" | "worker";
  /** Where the node and the control planes are reached, as for a NodeUpgrade. Default: at their own addresses. */
  endpoints?: Endpoints | undefined;
  /** Addresses of all control planes: the others have to be well before this node's configuration changes. */
  controlPlanes: string[];
  /** Talos API credentials (role os:admin), base64 as in a talosconfig. Always a secret. */
  clientConfiguration: pulumi.Input<ClientConfiguration>;
  /** The whole machine configuration (YAML, one or several documents), patches included. Always a secret. */
  machineConfiguration: pulumi.Output<string>;
  /** The patches in it: what they set may differ from what the node has. Always a secret. */
  patches: pulumi.Input<string[]>;
  /** Paths of the machine configuration that the node may lose, such as `machine.sysctls`. Default: none. */
  acceptDropped?: string[] | undefined;
  /** Values that nothing may show, whatever their names. Always a secret. Default: none. */
  hidden?: readonly KnownSecret[] | undefined;
  /** The contract that the configuration is made for, such as `v1.12`. A change of it is refused in the preview (siderolabs/talos#13885). */
  contract: pulumi.Input<string>;
  /** The contract that the cluster's secrets were made for, if this stack made them. `contract` has to be the same. Default: not known. */
  createdWith?: pulumi.Input<string> | undefined;
  /** How long control planes may take to be well, the others before the change and all of them after it, in seconds. A change of it alone is no change of the node. Default: 600. */
  timeoutSeconds?: number | undefined;
  /**
   * How the node is drained for a change that restarts its kubelet, where a deployed driver would log sessions out then. Read when that happens: a
   * change of it alone is no change of the node. Default: enabled, 300 seconds.
   */
  drain?: DrainArgs | undefined;
  /** How long storage may take to be back after such a drain, in seconds. Default: 300. */
  storageGate?: StorageGateArgs | undefined;
  /** As for a NodeUpgrade, of a change of the configuration. Default: no approval is asked for. */
  approval?: pulumi.Input<Record<string, unknown>> | undefined;
}

/**
 * One node's machine configuration. In previews it asks the node what it has and shows what the configuration changes there; a configuration that
 * would drop what the node has and nobody adopted is refused. In a deployment it waits until the other control planes are well, does a dry run, and
 * applies the configuration without a reboot, or staged for the next boot if the change needs one.
 *
 * If nothing is to be applied, it does not ask the node. A refresh reads the node's configuration, so that changes made by hand show as drift.
 * Deleting the resource leaves the machine as it is.
 */
export class NodeConfiguration extends pulumi.CustomResource {
  /** The configuration with its secrets redacted: safe to show. */
  readonly redacted: pulumi.Output<string>;
  /** What the applies of this stack changed on the node, a line each without secrets, the newest last. */
  declare readonly changes: pulumi.Output<string[] | undefined>;
  /** The lines in which the node differs from its configuration, as the last look found them. Absent: none. */
  declare readonly changedByHand: pulumi.Output<string[] | undefined>;
  /** Why the configuration is refused, in a preview: an input of the preflight, which fails with those of all nodes. In a deployment it is an error at once. */
  declare readonly refused: pulumi.Output<string | undefined>;

  constructor(name: string, args: NodeConfigurationArgs, opts?: pulumi.CustomResourceOptions) {
    const { hidden, ...given } = args;
    const configuration = pulumi.unsecret(
      args.machineConfiguration.apply((text) => redactMachineConfig(text, { hidden: args.hidden })),
    );
    const inputs: ResourceInputs<typeof nodeConfigurationSchema> = {
      ...definedOnly(given),
      // Absent where there is none, so that states without it stay as they are.
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
        // One node's refusal is not to end a preview before the others are seen.
        ...(pulumi.runtime.isDryRun() ? { preview: true } : {}),
      },
      // `changes` says the same once, for people.
      pulumi.mergeOptions(opts, {
        hideDiffs: ["configuration", "machineConfiguration", "patches", "hidden", "approval"],
      }),
    );
    this.redacted = configuration;
  }
}

/**
 * What a stack of 0.1.0 has in place of a NodeConfiguration: a component with a guard in it. The guard's state goes on as the resource's; the component
 * and the Talos provider's ConfigurationApply are deleted, which touches no machine.
 */
export function formerConfiguration(name: string, parent: pulumi.Resource): pulumi.Alias {
  return {
    type: "talos-node:index:ConfigurationGuard",
    // As pulumi.createUrn, with one Output in place of five.
    parent: parent.urn.apply(
      (urn) => `${urn.slice(0, urn.lastIndexOf("::"))}$talos-iscsi:index:MachineConfiguration::${name}`,
    ),
  };
}
