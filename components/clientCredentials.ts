import * as pulumi from "@pulumi/pulumi";
import type { ClientConfiguration } from "./machineConfiguration.ts";

/** The CA of the cluster's Talos API, `certs.os` of its secrets. */
export interface TalosAuthority {
  cert: string;
  key: string;
}

/**
 * Talos API credentials that don't expire while the stack keeps being deployed: they are issued from the cluster's CA for a year, and replaced every 180 days.
 * The plugin derives them, so previews have them too and no resource stores them. No node is contacted. Secret.
 */
export function issueClientCredentials(
  authority: pulumi.Output<TalosAuthority>,
  parent: pulumi.Resource,
): pulumi.Output<ClientConfiguration> {
  const issued = pulumi.runtime.invokeOutput<{ clientConfiguration: ClientConfiguration }>(
    "talos-node:index:clientCredentials",
    { authority: pulumi.secret(authority) },
    { parent },
  );
  return pulumi.secret(issued.clientConfiguration);
}
