import * as pulumi from "@pulumi/pulumi";
import type { ClientConfiguration } from "./machineConfiguration.ts";

/** The CA of the cluster's Talos API, `certs.os` of its secrets. */
export interface TalosAuthority {
  cert: string;
  key: string;
}

/**
 * Talos API credentials that do not expire as long as the stack is deployed: they are issued from the cluster's CA, for a year, and are others every 180 days.
 * The plugin derives them, so previews have them too, and no resource keeps them. No node is touched or asked. Secret.
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
