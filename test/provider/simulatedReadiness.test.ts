import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { connectTalos } from "../../talos/api/client.ts";
import { listResources } from "../../talos/api/cosi.ts";
import { loadTalosApi } from "../../talos/api/load.ts";
import { Transport } from "../../talos/api/transport.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

/** How a simulated node gains and loses readiness, as observed on real Talos 1.13. */

let cluster: SimulatedCluster;
let transport: Transport;

beforeAll(async () => {
  cluster = await SimulatedCluster.start({
    subnet: "127.45.51",
    controlPlanes: 1,
    version: "v1.13.9",
    timings: { bootSeconds: 2, pullSeconds: 1 },
  });
  transport = new Transport({ endpoint: cluster.node("cp1").address, credentials: cluster.credentials });
});

afterAll(async () => {
  transport.close();
  await cluster.stop();
});

interface PodStatus {
  conditions: { type: string; status: string }[];
  startTime: string;
  containerStatuses: { state: { running: { startedAt: string } } }[];
}

async function apiServer(): Promise<PodStatus> {
  const all = await listResources(transport, "k8s", "StaticPodStatuses.kubernetes.talos.dev");
  return all.find(({ id }) => id.includes("kube-apiserver"))?.spec as unknown as PodStatus;
}

async function apply(config: object): Promise<void> {
  const data = Buffer.from(stringify(config));
  await transport.unary(loadTalosApi().machine, "ApplyConfiguration", { data, mode: "NO_REBOOT" });
}

const startedAt = ({ containerStatuses }: PodStatus) => containerStatuses[0]?.state.running.startedAt;

test("a change of the API server makes static pods unready for a while; only the container's start time shows the restart", async () => {
  const node = cluster.node("cp1");
  const before = await apiServer();
  const config = parse(node.activeConfiguration() ?? "") as { cluster: { apiServer?: object } };
  config.cluster.apiServer = { certSANs: ["10.0.0.1"] };
  await delay(1000); // Pod times have a resolution of one second.
  await apply(config);
  const unmet = new Set<string>();
  const until = Date.now() + 10_000;
  while (Date.now() < until && !(unmet.size > 0 && node.snapshot().ready)) {
    for (const { name, reason } of node.snapshot().unmet) unmet.add(`${name}: ${reason}`);
    await delay(10);
  }
  const said = [...unmet].join("\n");
  expect(said).toContain("staticPods: kube-system/kube-apiserver-cp1 not ready");
  expect(said).toMatch(/kube-controller-manager-cp1 not ready, kube-system\/kube-scheduler-cp1 not ready/);
  const after = await apiServer();
  expect(after.startTime).toBe(before.startTime);
  expect(startedAt(after)).not.toBe(startedAt(before));
});

test("a change that does not affect the API server leaves static pods alone", async () => {
  const node = cluster.node("cp1");
  const before = await apiServer();
  const config = parse(node.activeConfiguration() ?? "") as { machine: { sysctls?: object } };
  config.machine.sysctls = { "net.core.somaxconn": "65535" };
  await apply(config);
  await delay(600);
  expect(node.snapshot().unmet).toEqual([]);
  expect(await apiServer()).toEqual(before);
});

test("a changed component image updates its own resource, and then the running pod's version", async () => {
  const node = cluster.node("cp1");
  const watched: string[] = [];
  const change = node.changes.subscribe(() => {
    const { config, version } = node.boot?.staticPods.config("kube-scheduler") ?? { version: 0 };
    const line = `${String(version)} ${config?.image ?? ""}`;
    if (watched.at(-1) !== line) watched.push(line);
  });
  const config = parse(node.activeConfiguration() ?? "") as { cluster: { scheduler?: object } };
  config.cluster.scheduler = { image: "registry.k8s.io/kube-scheduler:v1.35.5" };
  await apply(config);
  const pod = (): string | undefined =>
    node.boot?.staticPods.running().find(({ name }) => name === "kube-scheduler")?.configVersion;
  await expect.poll(pod, { timeout: 5_000 }).toBe("2");
  change();
  expect(watched).toEqual([
    "1 registry.k8s.io/kube-scheduler:v1.35.4",
    "2 registry.k8s.io/kube-scheduler:v1.35.5",
  ]);
  const [own] = await listResources(transport, "controlplane", "SchedulerConfigs.kubernetes.talos.dev");
  expect(own?.spec["image"]).toBe("registry.k8s.io/kube-scheduler:v1.35.5");
});

test("a restarting kubelet has no Service resource until it runs again", async () => {
  const config = parse(cluster.node("cp1").activeConfiguration() ?? "") as { machine: { kubelet?: object } };
  config.machine.kubelet = { image: "ghcr.io/siderolabs/kubelet:v1.35.5" };
  await apply(config);
  const services = async (): Promise<boolean> =>
    (await listResources(transport, "runtime", "Services.v1alpha1.talos.dev")).some(
      ({ id }) => id === "kubelet",
    );
  expect(await services()).toBe(false);
  await expect.poll(services, { timeout: 5_000 }).toBe(true);
  const [kubelet] = await listResources(transport, "k8s", "KubeletSpecs.kubernetes.talos.dev");
  expect(kubelet?.spec["image"]).toBe("ghcr.io/siderolabs/kubelet:v1.35.5");
});

test("a pull reports no progress for a while after the download is complete", async () => {
  const client = connectTalos({ endpoint: cluster.node("cp1").address, credentials: cluster.credentials });
  let complete = 0;
  await client.pull(cluster.image("v1.13.7"), (done, total) => {
    if (done === total) complete ||= Date.now();
  });
  expect(Date.now() - complete).toBeGreaterThan(300);
  client.close();
});

test("after a boot, the machine is running before it is ready", async () => {
  const node = cluster.node("cp1");
  const seen: string[] = [];
  node.powerCut("reboot");
  const until = Date.now() + 20_000;
  while (Date.now() < until && !(node.boots.length > 1 && node.snapshot().ready)) {
    const { stage, ready, unmet } = node.snapshot();
    const now = `${stage} ${ready ? "ready" : unmet.map(({ name }) => name).join()}`;
    if (seen.at(-1) !== now) seen.push(now);
    await delay(5);
  }
  expect(seen).toContain("running nodeReady");
});
