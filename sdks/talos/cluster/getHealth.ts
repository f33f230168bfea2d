import type * as pulumi from "@pulumi/pulumi";
import { invoke, invokeOutput, type ProviderFunction } from "../invoke.ts";
import type * as inputs from "../types/input.ts";
import type * as outputs from "../types/output.ts";

const fn: ProviderFunction<GetHealthArgs> = {
  token: "talos:cluster/getHealth:getHealth",
  parameters: {
    clientConfiguration: true,
    controlPlaneNodes: true,
    endpoints: true,
    skipKubernetesChecks: true,
    timeouts: true,
    workerNodes: true,
  },
};

/** Waits until the cluster is healthy by the checks of `talosctl health`. Also runs in every preview. */
export function getHealth(args: GetHealthArgs, opts?: pulumi.InvokeOptions): Promise<GetHealthResult> {
  return invoke(fn, args, opts);
}

/** {@link getHealth} for arguments that other resources provide. */
export function getHealthOutput(
  args: GetHealthOutputArgs,
  opts?: pulumi.InvokeOutputOptions,
): pulumi.Output<GetHealthResult> {
  return invokeOutput(fn, args, opts);
}

/** What {@link getHealth} takes. */
export interface GetHealthArgs {
  /** The credentials for the machines. */
  clientConfiguration: inputs.cluster.GetHealthClientConfiguration;
  /** Addresses of the control planes. */
  controlPlaneNodes: string[];
  /** Addresses to connect to: at least one control plane. */
  endpoints: string[];
  /** Only check Talos, for a cluster that has no network plugin yet. Default `false`. */
  skipKubernetesChecks?: boolean;
  /** How long to wait. */
  timeouts?: inputs.cluster.GetHealthTimeouts;
  /** Addresses of the workers. */
  workerNodes?: string[];
}

/** What {@link getHealthOutput} takes. */
export interface GetHealthOutputArgs {
  /** The credentials for the machines. */
  clientConfiguration: pulumi.Input<inputs.cluster.GetHealthClientConfigurationArgs>;
  /** Addresses of the control planes. */
  controlPlaneNodes: pulumi.Input<pulumi.Input<string>[]>;
  /** Addresses to connect to: at least one control plane. */
  endpoints: pulumi.Input<pulumi.Input<string>[]>;
  /** Only check Talos, for a cluster that has no network plugin yet. Default `false`. */
  skipKubernetesChecks?: pulumi.Input<boolean | undefined>;
  /** How long to wait. */
  timeouts?: pulumi.Input<inputs.cluster.GetHealthTimeoutsArgs | undefined>;
  /** Addresses of the workers. */
  workerNodes?: pulumi.Input<pulumi.Input<string>[] | undefined>;
}

/** What {@link getHealth} returns once the cluster is healthy. */
export interface GetHealthResult {
  /** The credentials used for the machines. */
  readonly clientConfiguration: outputs.cluster.GetHealthClientConfiguration;
  /** Addresses of the control planes. */
  readonly controlPlaneNodes: string[];
  /** The addresses the provider connected to. */
  readonly endpoints: string[];
  /** The provider's name for this result. */
  readonly id: string;
  /** Only Talos was checked. */
  readonly skipKubernetesChecks?: boolean;
  /** How long to wait. */
  readonly timeouts?: outputs.cluster.GetHealthTimeouts;
  /** Addresses of the workers. */
  readonly workerNodes?: string[];
}
