import { afterAll, expect, it, vi } from "vitest";
import { parse, stringify } from "yaml";
import type { Timeouts } from "../../provider/timeouts.ts";
import type { TalosNodeProvider } from "../../provider/plugin.ts";
import type { Properties } from "../../provider/secrets.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { KubernetesCluster, urn as kubernetesUrn } from "./kubernetesUpgradeHarness.ts";
import { createHarness, inputsFor } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

/**
 * The engine was killed, by a closed terminal or `pulumi up | head -1`, while an operation waits for something that never comes. Whatever it waits for, the
 * plugin's process must exit soon and leave the rest to the next `pulumi up`. Timeouts here are an hour, so no operation gives up by itself.
 */

const hour = 3_600_000;
const endless: Partial<Timeouts> = {
  ...{ contactMs: hour, guardMs: hour, recoveryMs: hour, kubernetesMs: hour, serviceMs: hour },
  ...{ rebootMs: hour, settleMs: hour, certificateMs: hour, leftoverMs: hour },
};
/** A call to a dead node times out after 500 ms here and 2 s in production. This allows several calls on a busy machine. */
const soonMs = 8_000;

const urnOf = (type: string): string => `urn:pulumi:dev::talos-iscsi::talos-node:index:${type}::thing`;

interface Scene {
  cluster: SimulatedCluster;
  kubernetes: FakeKubernetes;
}

const scenes: { stop(): Promise<void> }[] = [];
let subnets = 130;
afterAll(async () => void (await Promise.all(scenes.map((scene) => scene.stop()))));

async function start(): Promise<Scene> {
  const kubernetes = new FakeKubernetes();
  const cluster = await SimulatedCluster.start({
    ...{ subnet: `127.48.${subnets++}`, version: "v1.13.7", controlPlanes: 3, workers: 2 },
  });
  scenes.push(cluster);
  for (const { name, address } of cluster.nodes) kubernetes.add(name, address);
  return { cluster, kubernetes };
}

/** Everything done to nodes or Kubernetes so far. */
const done = ({ cluster, kubernetes }: Scene): unknown => [
  cluster.nodes.map((node) => {
    const { installs, reboots, upgrades, appliedConfigs, stage } = node.snapshot();
    return { name: node.name, installs, reboots, upgrades, stage, applied: appliedConfigs.length };
  }),
  [...kubernetes.log],
];

type Operation = (provider: TalosNodeProvider) => Promise<unknown>;

/** Starts the operation, waits for a matching status line, then kills the engine. */
async function expectToEndSoon(
  scene: Scene,
  begin: Operation,
  waits: RegExp,
  { provider, status } = createHarness(scene.kubernetes, endless),
): Promise<void> {
  const ended = begin(provider).then(
    () => "finished",
    (error: unknown) => String(error),
  );
  await vi.waitFor(() => expect(status.join("\n")).toMatch(waits), { timeout: 60_000 });
  // Lets the wait get past its first check.
  await new Promise((resolve) => setTimeout(resolve, 700));
  const begun = performance.now();
  await provider.abandon();
  expect(performance.now() - begun).toBeLessThan(soonMs);
  const before = done(scene);
  expect(await ended).not.toBe("finished");
  // Whatever a node still does on its own, the plugin must not send anything more.
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(done(scene)).toEqual(before);
}

const drained = { drain: { enabled: true, timeoutSeconds: 3_600 }, kubeconfig: "of a test" };
const upgrade =
  ({ cluster }: Scene, name: string, change: Properties = drained): Operation =>
  (provider) =>
    provider.create(urnOf("NodeUpgrade"), inputsFor(cluster, name, { timeoutSeconds: 3_600, ...change }));
const fault =
  (name: string, id: string) =>
  ({ cluster }: Scene): void =>
    cluster.node(name).faults.set(id);

type Case = [what: string, prepare: (scene: Scene) => void, node: string, waits: RegExp, change?: Properties];

it.concurrent.each<Case>([
  ["a node that is away", fault("w1", "node-down"), "w1", /inspect/],
  ["a connection through which nothing comes", fault("w1", "half-open"), "w1", /inspect/],
  ["a guard that may pass by itself", fault("cp1", "not-ready"), "cp1", /guard/],
  ["a registry that does not answer", fault("w1", "pull-hangs"), "w1", /pull/],
  ["another control plane that is unwell", fault("cp2", "etcd-member-unhealthy"), "cp1", /guard/],
  [
    "a budget of pods that never yields",
    ({ kubernetes }) => {
      kubernetes.pod("w1", "db-0");
      kubernetes.blocked.set("db-0", "not now");
    },
    "w1",
    /drain/,
  ],
  [
    "a volume that does not leave",
    ({ kubernetes }) => kubernetes.storage.attach("w1", "pv-a"),
    "w1",
    /drain/,
  ],
  ["a reboot that does not happen", fault("w1", "reboot-ignored"), "w1", /reboot/],
  ["a node that does not come back", fault("w1", "never-returns"), "w1", /reboot/],
  ["a service that does not run", fault("w1", "iscsid-not-running"), "w1", /verify/],
  [
    "a driver that does not register again",
    ({ cluster, kubernetes }) => {
      kubernetes.storage.drivers.set("w1", ["iscsi.csi.joviandss.open-e.com"]);
      kubernetes.before = (method) => {
        if (cluster.node("w1").snapshot().reboots > 0 && method === "driversOn")
          kubernetes.storage.drivers.set("w1", []);
      };
    },
    "w1",
    /storage/,
    { ...drained, storageGate: { timeoutSeconds: 3_600 } },
  ],
  [
    "a Kubernetes API that does not answer",
    ({ kubernetes }) => {
      kubernetes.before = (method) => {
        if (method === "podsOn") kubernetes.down = "connection refused";
      };
    },
    "w1",
    /drain/,
  ],
])("an upgrade that waits for %s ends soon", async (_, prepare, name, waits, change) => {
  const scene = await start();
  prepare(scene);
  await expectToEndSoon(scene, upgrade(scene, name, change), waits);
});

it.concurrent("an upgrade ends when its running installer does, before the drain", async () => {
  const scene = await start();
  const node = scene.cluster.node("w1");
  node.faults.set("slow-install", { value: 15 }); // 3 s
  await expectToEndSoon(scene, upgrade(scene, "w1"), /install/);
  expect(node.snapshot()).toMatchObject({ reboots: 0, upgrades: 1 });
  expect(scene.kubernetes.log).toEqual([]);
});

it.concurrent("a preflight that is pulling images ends soon", async () => {
  const scene = await start();
  const { schematicId, controlPlanes, clientConfiguration, drain, ...own } = inputsFor(scene.cluster, "w1");
  const { name, node, role, talosVersion, image, extensions, services, files } = own;
  const inputs = {
    nodes: [{ name, node, role, talosVersion, image, extensions, services, files }],
    ...{ schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds: 3_600 },
  };
  scene.cluster.node("w1").faults.set("pull-hangs");
  await expectToEndSoon(scene, (provider) => provider.create(urnOf("RolloutPreflight"), inputs), /pull/);
});

it.concurrent.each(["before", "after"])(
  "a configuration that waits for the control planes %s its apply ends soon",
  async (when) => {
    const scene = await start();
    const node = scene.cluster.node("cp1");
    const config = parse(node.config?.text ?? "") as { cluster: Record<string, object> };
    config.cluster["apiServer"] = { ...config.cluster["apiServer"], extraArgs: { v: "2" } };
    const machineConfiguration = stringify(config);
    if (when === "before") scene.cluster.node("cp2").faults.set("etcd-member-unhealthy");
    else node.faults.set("api-server-down");
    const inputs = {
      ...{ name: "cp1", node: node.address, role: "controlplane", contract: "v1.13" },
      controlPlanes: ["cp1", "cp2", "cp3"].map((name) => scene.cluster.node(name).address),
      clientConfiguration: { ...scene.cluster.credentials },
      ...{ machineConfiguration, configuration: redactMachineConfig(machineConfiguration) },
      ...{ patches: [], acceptDropped: [], timeoutSeconds: 3_600 },
    };
    await expectToEndSoon(scene, (provider) => provider.create(urnOf("NodeConfiguration"), inputs), /./);
    expect(node.snapshot().appliedConfigs.length).toBe(when === "before" ? 0 : 1);
  },
);

it.concurrent("a removal whose drain is blocked ends soon", async () => {
  const scene = await start();
  const { cluster, kubernetes } = scene;
  kubernetes.pod("w2", "db-0");
  kubernetes.blocked.set("db-0", "not now");
  const inputs = (left: string[]): Properties => ({
    nodes: cluster.nodes
      .filter(({ name }) => !left.includes(name))
      .map((node) => ({ name: node.name, node: node.address, role: node.identity().role })),
    ...{ onRemove: "reset", clientConfiguration: { ...cluster.credentials } },
    ...{ ...drained, timeoutSeconds: 3_600 },
  });
  const { outs } = await createHarness(kubernetes).provider.create(urnOf("ClusterMembership"), inputs([]));
  await expectToEndSoon(
    scene,
    (provider) => provider.update("membership", urnOf("ClusterMembership"), outs, inputs(["w2"])),
    /drain/,
  );
  expect(cluster.node("w2").snapshot().stage).toBe("running");
});

it.concurrent("a Kubernetes upgrade whose kube-apiserver does not come back ends soon", async () => {
  const own = await KubernetesCluster.start({ subnet: `127.48.${subnets++}`, controlPlanes: 1, workers: 1 });
  scenes.push(own);
  const state = await own.adopted(own.provider().provider);
  own.cluster.node("cp1").faults.set("api-server-down");
  await expectToEndSoon(
    own,
    (provider) => provider.update("kubernetes", kubernetesUrn, state, own.inputs({ timeoutSeconds: 3_600 })),
    /kube-apiserver v1.36.1 on cp1/,
    own.provider(undefined, endless),
  );
});
