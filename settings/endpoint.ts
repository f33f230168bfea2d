import type { Problem } from "../components/csi/problems.ts";
import { apidPort, normalizeHost, splitEndpoint } from "../talos/endpoint.ts";
import { givenNodes, type GivenNode, type GivenSettings } from "./given.ts";

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
  const worker = workerAt(given, url.hostname.replace(/^\[|\]$/g, ""));
  if (worker === undefined) return;
  warnings.push({
    path,
    reason: `is ${endpoint}, the address of ${worker.name ?? "a node"}, which is a worker and runs no kube-apiserver; use a control plane, a virtual IP or a load balancer`,
  });
}

/** A worker's apid forwards to no other node (siderolabs/talos internal/app/apid/pkg/director). */
export function checkTalosEndpoints(given: GivenSettings, warnings: Problem[]): void {
  const ofAll = (given.cluster?.talosEndpoints ?? []).map((endpoint, index) => ({
    path: `cluster.talosEndpoints[${index}]`,
    endpoint,
    of: undefined,
  }));
  const ofOne = givenNodes(given).map((node, index) => ({
    path: `cluster.nodes[${index}].endpoint`,
    endpoint: node.endpoint,
    of: node,
  }));
  for (const { path, endpoint, of } of [...ofAll, ...ofOne]) {
    if (endpoint === undefined) continue;
    const { host, port } = splitEndpoint(endpoint);
    const worker = port === apidPort ? workerAt(given, host) : undefined;
    if (worker === undefined || worker === of) continue;
    warnings.push({
      path,
      reason: `is ${endpoint}, the address of ${worker.name ?? "a node"}, which is a worker and forwards to no other node; use control planes or load balancers`,
    });
  }
}

function workerAt(given: GivenSettings, host: string): GivenNode | undefined {
  const wanted = normalizeHost(host);
  return givenNodes(given).find(
    ({ role, address }) => role === "worker" && address !== undefined && normalizeHost(address) === wanted,
  );
}
