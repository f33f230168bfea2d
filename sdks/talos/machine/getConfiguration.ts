import type * as pulumi from "@pulumi/pulumi";
import { invoke, invokeOutput, type ProviderFunction } from "../invoke.ts";
import type * as inputs from "../types/input.ts";
import type * as outputs from "../types/output.ts";

const fn: ProviderFunction<GetConfigurationArgs> = {
  token: "talos:machine/getConfiguration:getConfiguration",
  parameters: {
    clusterEndpoint: true,
    clusterName: true,
    configPatches: true,
    docs: true,
    examples: true,
    kubernetesVersion: true,
    machineSecrets: true,
    machineType: true,
    talosVersion: true,
  },
};

/**
 * Generates the machine configuration of a control plane or a worker, as `talosctl gen config` does. Always set
 * `talosVersion`, or a newer provider generates a newer version's configuration format. Always set `machine.install.image` in a
 * patch, or the installer is that of the provider's own Talos version.
 *
 * @example
 * const { machineConfiguration } = await talos.machine.getConfiguration({
 *   clusterName: "prod",
 *   clusterEndpoint: "https://10.0.0.10:6443",
 *   machineType: "worker",
 *   talosVersion: "v1.13",
 *   machineSecrets,
 * });
 */
export function getConfiguration(
  args: GetConfigurationArgs,
  opts?: pulumi.InvokeOptions,
): Promise<GetConfigurationResult> {
  return invoke(fn, args, opts);
}

/** {@link getConfiguration} for arguments that other resources provide. */
export function getConfigurationOutput(
  args: GetConfigurationOutputArgs,
  opts?: pulumi.InvokeOutputOptions,
): pulumi.Output<GetConfigurationResult> {
  return invokeOutput(fn, args, opts);
}

/** What {@link getConfiguration} takes. */
export interface GetConfigurationArgs {
  /** The URL of the Kubernetes API, for example `https://10.0.0.10:6443`. */
  clusterEndpoint: string;
  /** The cluster's name. */
  clusterName: string;
  /** Patches, each YAML (strategic merge) or JSON (RFC 6902). */
  configPatches?: string[];
  /** Explain every field in a comment. Default `false`. */
  docs?: boolean;
  /** Show unused fields in comments. Default `false`. */
  examples?: boolean;
  /** The Kubernetes version, for example `v1.35.4`. Default: the provider's own. */
  kubernetesVersion?: string;
  /** The cluster's secrets bundle. */
  machineSecrets: inputs.machine.MachineSecrets;
  /** `controlplane` or `worker`. */
  machineType: string;
  /** The version contract, for example `v1.13`: the configuration format, not the installed Talos version. */
  talosVersion?: string;
}

/** What {@link getConfigurationOutput} takes. */
export interface GetConfigurationOutputArgs {
  /** The URL of the Kubernetes API, for example `https://10.0.0.10:6443`. */
  clusterEndpoint: pulumi.Input<string>;
  /** The cluster's name. */
  clusterName: pulumi.Input<string>;
  /** Patches, each YAML (strategic merge) or JSON (RFC 6902). */
  configPatches?: pulumi.Input<pulumi.Input<string>[] | undefined>;
  /** Explain every field in a comment. Default `false`. */
  docs?: pulumi.Input<boolean | undefined>;
  /** Show unused fields in comments. Default `false`. */
  examples?: pulumi.Input<boolean | undefined>;
  /** The Kubernetes version, for example `v1.35.4`. Default: the provider's own. */
  kubernetesVersion?: pulumi.Input<string | undefined>;
  /** The cluster's secrets bundle. */
  machineSecrets: pulumi.Input<inputs.machine.MachineSecretsArgs>;
  /** `controlplane` or `worker`. */
  machineType: pulumi.Input<string>;
  /** The version contract, for example `v1.13`: the configuration format, not the installed Talos version. */
  talosVersion?: pulumi.Input<string | undefined>;
}

/** What {@link getConfiguration} returns. */
export interface GetConfigurationResult {
  /** The URL of the Kubernetes API. */
  readonly clusterEndpoint: string;
  /** The cluster's name. */
  readonly clusterName: string;
  /** The patches. */
  readonly configPatches?: string[];
  /** Whether comments explain every field. */
  readonly docs?: boolean;
  /** Whether unused fields are shown in comments. */
  readonly examples?: boolean;
  /** The provider's name for this result. */
  readonly id: string;
  /** The Kubernetes version. */
  readonly kubernetesVersion?: string;
  /** The machine configuration, YAML. Secret. */
  readonly machineConfiguration: string;
  /** The cluster's secrets bundle. */
  readonly machineSecrets: outputs.machine.MachineSecrets;
  /** `controlplane` or `worker`. */
  readonly machineType: string;
  /** The version contract. */
  readonly talosVersion?: string;
}
