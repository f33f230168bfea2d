import * as pulumi from "@pulumi/pulumi";
import { coded } from "../talos/errorCodes.ts";
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

/** A talosconfig's credentials. Its context, endpoints and nodes are not inputs of the provider's resources. Secret. */
export function providedCredentials(
  given: pulumi.Input<ClientConfiguration> | undefined,
): pulumi.Output<ClientConfiguration> | undefined {
  if (given === undefined) return undefined;
  const credentials = pulumi.output(given).apply(({ caCertificate, clientCertificate, clientKey }) => ({
    caCertificate,
    clientCertificate,
    clientKey,
  }));
  return pulumi.secret(credentials);
}

export function requireCredentials(
  credentials: pulumi.Output<ClientConfiguration> | undefined,
): pulumi.Output<ClientConfiguration> {
  if (credentials !== undefined) return credentials;
  throw new pulumi.InputPropertyError({
    propertyPath: "existing.clientConfiguration",
    reason: coded("arguments", "is missing; only renewCredentials: true does without"),
  });
}
