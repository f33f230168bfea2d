import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { unknownValue } from "../../talos/secrecy/engineValues.ts";
import type { Properties } from "../../provider/secrets.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { expectFailure, createHarness, inputsFor, urn } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

let cluster: SimulatedCluster;
let kubernetes: FakeKubernetes;

beforeEach(async () => {
  cluster = await SimulatedCluster.start({ subnet: "127.49.16", version: "v1.13.7", workers: 1 });
  kubernetes = new FakeKubernetes();
  for (const { name, address } of cluster.nodes) kubernetes.add(name, address);
});
afterEach(async () => cluster.stop());

const volume = (name: string, robustness?: string) => ({
  metadata: { name, namespace: "longhorn-system" },
  status: robustness === undefined ? {} : { robustness },
});
const volumes = {
  apiVersion: "longhorn.io/v1beta2",
  kind: "Volume",
  namespace: "longhorn-system",
  jsonPath: "{.status.robustness}",
  value: ["healthy", "unknown"],
  timeoutSeconds: 0.3,
};
const ceph = (status: string, message?: string) => ({
  metadata: { name: "rook-ceph", namespace: "rook-ceph" },
  status: { conditions: [{ type: "Ready", status, ...(message === undefined ? {} : { message }) }] },
});
const ready = {
  apiVersion: "ceph.rook.io/v1",
  kind: "CephCluster",
  namespace: "rook-ceph",
  name: "rook-ceph",
  condition: "Ready",
  timeoutSeconds: 0.3,
};

function inputs(...gates: Properties[]): Properties {
  return inputsFor(cluster, "w1", {
    kubeconfig: "of a test",
    rollout: { nodes: [], budgets: [], windows: [], outsideWindow: "stop", gates },
  });
}

describe("custom gates", () => {
  it("let a node proceed once every object has its value and its condition", async () => {
    kubernetes.others.set("Volume", [volume("pvc-1", "healthy"), volume("pvc-2", "unknown")]);
    kubernetes.others.set("CephCluster", [ceph("True")]);
    await createHarness(kubernetes).provider.create(urn, inputs(volumes, ready));
    expect(cluster.node("w1").snapshot().version).toBe("v1.13.9");
  });

  it.each<[string, () => void, string]>([
    [
      "another value",
      () => kubernetes.others.set("Volume", [volume("pvc-1", "healthy"), volume("pvc-2", "degraded")]),
      'Volume longhorn-system/pvc-2: {.status.robustness} is "degraded", not "healthy" or "unknown" (upgrade.gates[0], waited ',
    ],
    [
      "no value",
      () => kubernetes.others.set("Volume", [volume("pvc-1")]),
      "Volume longhorn-system/pvc-1: {.status.robustness} is missing, not ",
    ],
    [
      "another condition",
      () => kubernetes.others.set("Volume", []).set("CephCluster", [ceph("False", "osd.3 is down")]),
      "CephCluster rook-ceph/rook-ceph: Ready is False, not True (osd.3 is down) (upgrade.gates[1], waited ",
    ],
    [
      "no object of that name",
      () => kubernetes.others.set("Volume", []).set("CephCluster", []),
      "CephCluster rook-ceph/rook-ceph does not exist (upgrade.gates[1], waited ",
    ],
    [
      "no such kind, without waiting for one",
      () => kubernetes.others.set("Volume", []),
      "CephCluster rook-ceph/rook-ceph cannot be read: the cluster has no kind CephCluster in ceph.rook.io/v1 (upgrade.gates[1], waited 0 s)",
    ],
  ])("stop the rollout at the node for %s, before it is drained", async (_, prepare, problem) => {
    prepare();
    const { message } = await expectFailure(
      createHarness(kubernetes).provider.create(urn, inputs(volumes, ready)),
    );
    expect(message).toContain(`w1 (127.49.16.21), step "gate": ${problem}`);
    expect(cluster.node("w1").snapshot().reboots).toBe(0);
    expect(kubernetes.log).toEqual([]);
  });

  it("wait until the gate opens", async () => {
    kubernetes.others.set("Volume", [volume("pvc-1", "degraded")]);
    const own = createHarness(kubernetes);
    const tick = setInterval(() => {
      if (own.status.some((line) => line.includes("waiting: Volume") || line.includes("gate")))
        kubernetes.others.set("Volume", [volume("pvc-1", "healthy")]);
    }, 20);
    await own.provider.create(urn, inputs({ ...volumes, timeoutSeconds: 60 }));
    clearInterval(tick);
    expect(cluster.node("w1").snapshot().version).toBe("v1.13.9");
  });

  it("show in the preview what keeps them closed, unknown kinds, and selectors that match nothing", async () => {
    const preflightUrn = "urn:pulumi:dev::talos-iscsi::talos-node:index:RolloutPreflight::preflight";
    const { name, node, role, talosVersion, image, extensions, services, files, ...shared } = inputs(
      { ...volumes, labelSelector: "app=typo" },
      ready,
    );
    const own = createHarness(kubernetes);
    kubernetes.others.set("Volume", []);
    const news = {
      ...shared,
      nodes: [{ name, node, role, talosVersion, image, extensions, services, files }],
    };
    const result = await own.provider.check(preflightUrn, {}, news);
    expect(result.failures).toEqual([]);
    const checked: unknown = result.inputs;
    const stops = "the rollout would wait right now, and then stop: ";
    expect(own.warnings.join("\n")).toContain(
      `${stops}upgrade.gates[1]: CephCluster rook-ceph/rook-ceph cannot be read: the cluster has no kind CephCluster in ceph.rook.io/v1`,
    );
    expect(own.warnings.join("\n")).toContain("upgrade.gates[0]: there is no Volume to check");

    // A cluster that is being adopted: the stack gets its kubeconfig in the deployment.
    const first = createHarness(kubernetes);
    await first.provider.check(preflightUrn, {}, { ...news, kubeconfig: unknownValue });
    expect(first.warnings).toEqual(own.warnings);

    // The nodes are up to date, and a changed gate is checked anyway.
    const again = createHarness(kubernetes);
    const other = { ...shared, rollout: { ...(shared["rollout"] as object), gates: [ready] } };
    await again.provider.check(preflightUrn, checked as Properties, { ...news, ...other });
    expect(again.warnings.some((text) => text.includes("upgrade.gates[0]: CephCluster"))).toBe(true);
  });

  it("stop a rollout before it begins", async () => {
    const preflightUrn = "urn:pulumi:dev::talos-iscsi::talos-node:index:RolloutPreflight::preflight";
    const { name, node, role, talosVersion, image, extensions, services, files, ...shared } = inputs(volumes);
    kubernetes.others.set("Volume", [volume("pvc-1", "faulted")]);
    const news = {
      ...shared,
      nodes: [{ name, node, role, talosVersion, image, extensions, services, files }],
    };
    const { message } = await expectFailure(createHarness(kubernetes).provider.create(preflightUrn, news));
    expect(message).toMatch(/^the rollout .*\[rollout-refused\]\.\n {2}w1 .*is "faulted".*\[upgrade-gate\]/);
  });
});
