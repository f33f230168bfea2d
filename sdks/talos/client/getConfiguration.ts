import type * as pulumi from "@pulumi/pulumi";
import { invoke, invokeOutput, type ProviderFunction } from "../invoke.ts";
import type * as inputs from "../types/input.ts";
import type * as outputs from "../types/output.ts";

const fn: ProviderFunction<GetConfigurationArgs> = {
  token: "talos:client/getConfiguration:getConfiguration",
  parameters: { clientConfiguration: true, clusterName: true, endpoints: true, nodes: true },
};

/**
 * Writes a talosconfig: the file that `talosctl` reads. Does not contact the cluster.
 *
 * @example
 * const { talosConfig } = await talos.client.getConfiguration({ clusterName: "prod", clientConfiguration });
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
  /** The credentials to include. */
  clientConfiguration: inputs.client.GetConfigurationClientConfiguration;
  /** The cluster's name, which becomes the name of the context. */
  clusterName: string;
  /** Addresses that `talosctl` connects to. */
  endpoints?: string[];
  /** Machines that `talosctl` acts on by default. */
  nodes?: string[];
}

/** What {@link getConfigurationOutput} takes. */
export interface GetConfigurationOutputArgs {
  /** The credentials to include. */
  clientConfiguration: pulumi.Input<inputs.client.GetConfigurationClientConfigurationArgs>;
  /** The cluster's name, which becomes the name of the context. */
  clusterName: pulumi.Input<string>;
  /** Addresses that `talosctl` connects to. */
  endpoints?: pulumi.Input<pulumi.Input<string>[] | undefined>;
  /** Machines that `talosctl` acts on by default. */
  nodes?: pulumi.Input<pulumi.Input<string>[] | undefined>;
}

/** What {@link getConfiguration} returns. */
export interface GetConfigurationResult {
  /** The included credentials. */
  readonly clientConfiguration: outputs.client.GetConfigurationClientConfiguration;
  /** The cluster's name. */
  readonly clusterName: string;
  /** Addresses that `talosctl` connects to. */
  readonly endpoints?: string[];
  /** The provider's name for this result. */
  readonly id: string;
  /** Machines that `talosctl` acts on. */
  readonly nodes?: string[];
  /** The talosconfig, YAML. Secret. */
  readonly talosConfig: string;
}
