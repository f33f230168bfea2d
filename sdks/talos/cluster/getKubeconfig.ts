import type * as pulumi from "@pulumi/pulumi";
import { invoke, invokeOutput, type ProviderFunction } from "../invoke.ts";
import type * as inputs from "../types/input.ts";
import type * as outputs from "../types/output.ts";

const fn: ProviderFunction<GetKubeconfigArgs> = {
  token: "talos:cluster/getKubeconfig:getKubeconfig",
  parameters: { clientConfiguration: true, endpoint: true, node: true, timeouts: true, wait: true },
};

/**
 * Fetches a new kubeconfig from a control plane. Each call gets a new certificate; the {@link Kubeconfig} resource
 * keeps one in the state instead and renews it.
 */
export function getKubeconfig(
  args: GetKubeconfigArgs,
  opts?: pulumi.InvokeOptions,
): Promise<GetKubeconfigResult> {
  return invoke(fn, args, opts);
}

/** {@link getKubeconfig} for arguments that other resources provide. */
export function getKubeconfigOutput(
  args: GetKubeconfigOutputArgs,
  opts?: pulumi.InvokeOutputOptions,
): pulumi.Output<GetKubeconfigResult> {
  return invokeOutput(fn, args, opts);
}

/** What {@link getKubeconfig} takes. */
export interface GetKubeconfigArgs {
  /** The credentials to fetch it with. */
  clientConfiguration: inputs.cluster.GetKubeconfigClientConfiguration;
  /** Address to connect to. Default: `node`. */
  endpoint?: string;
  /** The control plane to query. */
  node: string;
  /** How long the fetch may take. */
  timeouts?: inputs.cluster.GetKubeconfigTimeouts;
  /** @deprecated No longer does anything; use {@link getHealth} to wait for a cluster. */
  wait?: boolean;
}

/** What {@link getKubeconfigOutput} takes. */
export interface GetKubeconfigOutputArgs {
  /** The credentials to fetch it with. */
  clientConfiguration: pulumi.Input<inputs.cluster.GetKubeconfigClientConfigurationArgs>;
  /** Address to connect to. Default: `node`. */
  endpoint?: pulumi.Input<string | undefined>;
  /** The control plane to query. */
  node: pulumi.Input<string>;
  /** How long the fetch may take. */
  timeouts?: pulumi.Input<inputs.cluster.GetKubeconfigTimeoutsArgs | undefined>;
  /** @deprecated No longer does anything; use {@link getHealth} to wait for a cluster. */
  wait?: pulumi.Input<boolean | undefined>;
}

/** What {@link getKubeconfig} returns. */
export interface GetKubeconfigResult {
  /** The credentials that fetched it. */
  readonly clientConfiguration: outputs.cluster.GetKubeconfigClientConfiguration;
  /** The address the provider connected to. */
  readonly endpoint: string;
  /** The provider's name for this result. */
  readonly id: string;
  /** The kubeconfig, YAML. Secret. */
  readonly kubeconfigRaw: string;
  /** The fields of the kubeconfig. */
  readonly kubernetesClientConfiguration: outputs.cluster.GetKubeconfigKubernetesClientConfiguration;
  /** The control plane that was queried. */
  readonly node: string;
  /** How long the fetch may take. */
  readonly timeouts?: outputs.cluster.GetKubeconfigTimeouts;
  /** @deprecated No longer does anything; use {@link getHealth} to wait for a cluster. */
  readonly wait?: boolean;
}
