import type * as pulumi from "@pulumi/pulumi";
import type { TalosAuthority } from "../../components/clientCredentials.ts";
import type { ClientConfiguration, NodeConfigurationArgs } from "../../components/machineConfiguration.ts";
import type { ConfigurationToBe, RolloutReadinessArgs } from "../../components/rolloutReadiness.ts";

/** Inputs that the classes in components/ set themselves. Programs in other languages set them if they need them. */

export interface NodeConfigurationInputs extends NodeConfigurationArgs {
  /** The machine configuration with its secrets redacted, for policies and reports. Default: it is made from the machine configuration. */
  configuration?: pulumi.Input<string>;
}

export interface RolloutReadinessInputs extends Omit<RolloutReadinessArgs, "configurations"> {
  /** The machine configuration that each node is to have, and the patches in it, by its name: the plan has what it changes. Always secret; the state keeps hashes. Default: no plan. */
  configurations?: pulumi.Input<Record<string, ConfigurationToBe>>;
}

/** Issues Talos API credentials (role os:admin) for a year from the cluster's CA; they are others every 180 days. No node is asked. */
export interface ClientCredentialsInputs {
  /** The CA of the cluster's Talos API, `certs.os` of its secrets. Always a secret. */
  authority: TalosAuthority;
}

export interface ClientCredentialsOutputs {
  /** The credentials, base64 as in a talosconfig. Always a secret. */
  clientConfiguration: ClientConfiguration;
}
