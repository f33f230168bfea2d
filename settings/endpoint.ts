import type { Problem } from "../components/csi/problems.ts";
import { normalizeHost } from "../talos/endpoint.ts";
import { givenNodes, type GivenSettings } from "./given.ts";

/** Ports of a node's own Talos API. */
const talosPorts = ["50000", "50001"];

/** Endpoints that are valid but almost always a mistake. */
export function checkEndpoint(given: GivenSettings, warnings: Problem[]): void {
  const endpoint = given.cluster?.endpoint;
  if (endpoint === undefined || !/^https:\/\/[^/]+\/?$/i.test(endpoint)) return;
  const url = URL.parse(endpoint);
  if (url === null) return;
  const path = "cluster.endpoint";
  const host = `https://${url.hostname}`;
  // `url.port` is empty for the default port even if it was written.
  if (!/:\d+\/?$/.test(endpoint))
    warnings.push({
      path,
      reason: `is ${endpoint}, without a port, so clients use 443; Talos's kube-apiserver listens on 6443. Use ${host}:6443, or ${host}:443 if a load balancer listens there`,
    });
  if (talosPorts.includes(url.port))
    warnings.push({
      path,
      reason: `is ${endpoint}, but ${url.port} is a port of the Talos API; Talos's kube-apiserver listens on 6443. Use ${host}:6443`,
    });
  const server = normalizeHost(url.hostname.replace(/^\[|\]$/g, ""));
  const worker = givenNodes(given).find(
    ({ role, address }) => role === "worker" && address !== undefined && normalizeHost(address) === server,
  );
  if (worker === undefined) return;
  warnings.push({
    path,
    reason: `is ${endpoint}, the address of ${worker.name ?? "a node"}, which is a worker and runs no kube-apiserver; use a control plane, a virtual IP or a load balancer`,
  });
}
