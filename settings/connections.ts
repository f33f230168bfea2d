import { z } from "zod";
import { splitEndpoint } from "../talos/endpoint.ts";
import { isHost } from "./hosts.ts";
import { flagSchema, must } from "./messages.ts";

const endpointText = "a host or host:port, such as 203.0.113.7:50021";

/** A Talos API endpoint: a host and an optional port. */
const endpointSchema = z.string(must(endpointText)).refine((text) => {
  const { host, port } = splitEndpoint(text);
  return isHost(host) && Number.isSafeInteger(port) && port > 0 && port < 65_536;
}, must(endpointText));

export const nodeEndpointSchema = endpointSchema
  .optional()
  .describe("Talos API endpoint, `host[:port]`. Default: `talosEndpoints`, then `address`, port 50000.");

export const talosEndpointsSchema = z
  .array(endpointSchema, must("a list of endpoints"))
  .default([])
  .describe("Talos API endpoints that forward to all nodes, tried in order.");

export const checkHardwareSchema = z
  .enum(["refuse", "warn", "off"], must("refuse, warn or off"))
  .optional()
  .describe(
    "Action if disks or links are missing. Default: `refuse` for new machines, `warn` for running nodes.",
  );

export const renewCredentialsSchema = flagSchema()
  .default(false)
  .describe("Issue and renew Talos credentials from the cluster's CA.");
