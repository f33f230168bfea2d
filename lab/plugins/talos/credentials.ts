import { stringify } from "yaml";
import { readObject, requireText } from "../read.ts";
import type { Properties } from "../values.ts";

/** An admin's client certificate, its key and the Talos API's CA, each as base64 of PEM as in a talosconfig. */
export interface ClientConfiguration {
  caCertificate: string;
  clientCertificate: string;
  clientKey: string;
}

/** Reads `clientConfiguration`, or its write-only twin, which the published provider prefers. */
export function readClientConfiguration(properties: Properties): ClientConfiguration {
  const given =
    readObject(properties, "clientConfigurationWo") ?? readObject(properties, "clientConfiguration");
  if (given === undefined) {
    throw new Error("clientConfiguration: is missing, an object is needed");
  }
  return {
    caCertificate: requireText(given, "caCertificate"),
    clientCertificate: requireText(given, "clientCertificate"),
    clientKey: requireText(given, "clientKey"),
  };
}

/** A talosconfig with one context. */
export function talosconfigYaml(
  context: string,
  client: ClientConfiguration,
  targets: { endpoints?: string[]; nodes?: string[] } = {},
): string {
  const { endpoints = [], nodes = [] } = targets;
  return stringify(
    {
      context,
      contexts: {
        [context]: {
          endpoints,
          ...(nodes.length > 0 ? { nodes } : {}),
          ca: client.caCertificate,
          crt: client.clientCertificate,
          key: client.clientKey,
        },
      },
    },
    { indent: 4, lineWidth: 0 },
  );
}
