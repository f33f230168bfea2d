import { z } from "zod";
import { splitEndpoint } from "../talos/endpoint.ts";
import { isHost } from "./hosts.ts";
import { flag, must } from "./words.ts";

const endpointText = "a host or host:port, such as 203.0.113.7:50021";

/** Where a Talos API is reached: a host, and perhaps a port. */
const endpoint = z.string(must(endpointText)).refine((text) => {
  const { host, port } = splitEndpoint(text);
  return isHost(host) && Number.isSafeInteger(port) && port > 0 && port < 65_536;
}, must(endpointText));

export const nodeEndpoint = endpoint
  .optional()
  .describe(
    "Where this node's Talos API is reached, host or host:port: the node itself on another port, or a control plane or load balancer that forwards; default: cluster.talosEndpoints, then its address and port 50000.",
  );

export const talosEndpoints = z
  .array(endpoint, must("a list of endpoints"))
  .default([])
  .describe(
    "Endpoints that forward to all nodes, as with the `-e` of talosctl: control planes, or a load balancer in front of them. They are tried in turn; default: every node is reached at its own address.",
  );

export const checkHardware = z
  .enum(["refuse", "warn", "off"], must("refuse, warn or off"))
  .optional()
  .describe(
    "What to do with a configuration that names disks or links that the machine does not have: refuse, warn or off; default: refuse for a machine without a configuration, warn on a running node.",
  );

export const renewCredentials = flag()
  .default(false)
  .describe(
    "Issue the stack's Talos credentials from the cluster's CA, in place of those of the talosconfig: valid for a year, and renewed every 180 days. No node is touched.",
  );
