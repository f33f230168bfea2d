import { lookup } from "node:dns/promises";
import { connect } from "node:net";
import { ClusterConfigurationError } from "./configuration.ts";

/** The lab stays on its own machine: an endpoint anywhere else is a configuration error. */
export async function loopbackAddress(endpoint: URL): Promise<string> {
  const { address } = await lookup(endpoint.hostname, { family: 4 }).catch(() => ({ address: "" }));
  if (!address.startsWith("127.")) {
    throw new ClusterConfigurationError(
      `cluster.controlPlane.endpoint: ${endpoint.href} is ${address || "not a known host"}; the lab runs on loopback addresses only (127.0.0.0/8)`,
    );
  }
  return address;
}

/** Whether something listens there. */
export function acceptsConnections(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });
}
