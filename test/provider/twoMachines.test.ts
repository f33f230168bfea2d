import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Properties } from "../../lab/plugins/values.ts";
import { inputsFor } from "./nodeUpgradeHarness.ts";
import { PluginClient } from "./pluginClient.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

// Two `up` at once against one cluster, from two machines: two plugin processes that share only the nodes and the Kubernetes API.

const executable = join(import.meta.dirname, "../../provider/pulumi-resource-talos-node");
const names = ["cp1", "cp2", "cp3"];
let cluster: SimulatedCluster;
let kubernetes: Server;
let plugins: PluginClient[];
/** Holders of the lock, in order. */
const holders: string[] = [];
let refused = 0;

interface Lease {
  metadata: { resourceVersion?: string };
  spec: { holderIdentity?: string };
}
let lease: Lease | undefined;

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const piece of request) text += String(piece);
  return text;
}

/** The part of an API server that a rollout without drains uses. An update of a Lease must carry its current resource version. */
async function answer(request: IncomingMessage): Promise<[status: number, body: unknown]> {
  const { method, url = "" } = request;
  const text = await bodyOf(request);
  if (url === "/version/" || url === "/version") return [200, { gitVersion: "v1.35.2" }];
  if (url.includes("/leases")) {
    if (method === "GET") return lease === undefined ? [404, {}] : [200, lease];
    const written = JSON.parse(text) as Lease;
    const isStale =
      method === "POST"
        ? lease !== undefined
        : written.metadata.resourceVersion !== lease?.metadata.resourceVersion;
    console.log(new Date().toISOString(), method, isStale, written.spec.holderIdentity);
    if (isStale) {
      refused += 1;
      return [409, {}];
    }
    const version = Number(lease?.metadata.resourceVersion ?? 0) + 1;
    lease = { ...written, metadata: { ...written.metadata, resourceVersion: String(version) } };
    const { holderIdentity = "" } = written.spec;
    if (holderIdentity !== "" && holders.at(-1) !== holderIdentity) holders.push(holderIdentity);
    return [200, lease];
  }
  if (!url.startsWith("/api/v1/nodes")) return [200, { items: [] }];
  const items = cluster.nodes.map(({ name, address }) => ({
    metadata: { name },
    spec: {},
    status: { conditions: [{ type: "Ready", status: "True" }], addresses: [{ type: "InternalIP", address }] },
  }));
  const one = items.find(({ metadata }) => url.split("?")[0] === `/api/v1/nodes/${metadata.name}`);
  return one === undefined ? [200, { items }] : [200, one];
}

beforeAll(async () => {
  cluster = await SimulatedCluster.start({
    ...{ subnet: "127.44.94", version: "v1.13.7", controlPlanes: 3 },
    timings: { bootSeconds: 1, rebootSeconds: 1 },
  });
  kubernetes = createServer((request, response) => {
    void answer(request).then(([status, body]) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => void kubernetes.listen(0, "127.0.0.1", resolve));
  plugins = await Promise.all([PluginClient.start(executable), PluginClient.start(executable)]);
});
afterAll(async () => {
  await Promise.all(plugins.map((plugin) => plugin.stop()));
  kubernetes.close();
  await cluster.stop();
});

it("two machines take control planes down one at a time, by the Lease alone", async () => {
  const server = `http://127.0.0.1:${(kubernetes.address() as AddressInfo).port}`;
  const kubeconfig = JSON.stringify({
    clusters: [{ name: "c", cluster: { server, "insecure-skip-tls-verify": true } }],
    users: [{ name: "u", user: { token: "t" } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  });
  const upgrade = (machine: 0 | 1, name: string): Promise<unknown> => {
    const { caCertificate } = cluster.credentials;
    // Processes on one machine recognize each other by the CA's text. Different white space hides them from each other, as on two machines.
    const text = Buffer.from(caCertificate, "base64").toString() + "\n".repeat(machine);
    const inputs = inputsFor(cluster, name, {
      ...{ kubeconfig, timeoutSeconds: 120, storageGate: { enabled: false } },
      clientConfiguration: { ...cluster.credentials, caCertificate: Buffer.from(text).toString("base64") },
    });
    return plugins[machine]!.create("talos-node:index:NodeUpgrade", inputs as Properties);
  };
  let mostAway = 0;
  const watch = setInterval(() => {
    const away = cluster.nodes.filter((node) => node.snapshot().stage !== "running");
    mostAway = Math.max(mostAway, away.length);
  }, 2);
  // All at once, with one node upgraded by both.
  await Promise.all([upgrade(0, "cp1"), upgrade(1, "cp2"), upgrade(0, "cp3"), upgrade(1, "cp3")]);
  clearInterval(watch);
  expect(mostAway).toBe(1);
  for (const name of names)
    expect(cluster.node(name).snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1, reboots: 1 });
  expect(new Set(holders).size).toBe(2);
  expect(lease?.spec.holderIdentity).toBeUndefined();
  console.log(`turns: ${holders.length}, writes of the Lease that lost: ${refused}`);
});
