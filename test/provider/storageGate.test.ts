import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { storageAnnotation } from "../../provider/kubernetes.ts";
import type { Properties } from "../../provider/secrets.ts";
import { csiDrivers } from "../../talos/csiDrivers.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { expectFailure, createHarness, inputsFor, urn, type Harness } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

/** The next node waits for this node's storage; budgets that never yield; what a preview reports of both. */

const subnet = "127.44.26";
let cluster: SimulatedCluster;
let kubernetes: FakeKubernetes;

beforeEach(async () => {
  cluster = await SimulatedCluster.start({ subnet, version: "v1.13.7", workers: 1 });
  kubernetes = new FakeKubernetes().add("cp1", `${subnet}.11`).add("w1", `${subnet}.21`);
  kubernetes.storage.drivers.set("w1", ["iscsi.csi.joviandss.open-e.com", "driver.longhorn.io"]);
  kubernetes.pod("w1", "csi-node", { owner: "DaemonSet", registersDriver: true });
});
afterEach(async () => {
  await cluster.stop();
});

const gated = (change: Properties = {}): Properties => ({
  drain: { enabled: true, timeoutSeconds: 2 },
  storageGate: { timeoutSeconds: 1 },
  kubeconfig: "of a test",
  ...change,
});
const upgrade = (through: Harness, inputs: Properties = gated()) =>
  through.provider.create(urn, inputsFor(cluster, "w1", inputs));

/** A pod with a volume on w1. Its volume leaves when it is evicted, and then the test decides. */
function workload(then: () => void): void {
  kubernetes.pod("w1", "db-0", { owner: "StatefulSet", claims: ["default/claim-of-pv-a"] });
  kubernetes.storage.attach("w1", "pv-a");
  kubernetes.after = (entry) => {
    if (entry !== "evict db-0") return;
    kubernetes.storage.detach("pv-a", "w1");
    setTimeout(then, 20);
  };
}

const runsElsewhere = (change = {}): void => {
  kubernetes.storage.attach("cp1", "pv-a", change);
  kubernetes.pod("cp1", "db-0", { owner: "StatefulSet", uid: "uid-2", claims: ["default/claim-of-pv-a"] });
};
const upgraded = (): void =>
  expect(cluster.node("w1").snapshot()).toMatchObject({ version: "v1.13.9", reboots: 1 });

describe("the storage gate before the next node", () => {
  it("opens once the pod runs elsewhere, and removes its note", async () => {
    workload(() => setTimeout(runsElsewhere, 1_500));
    const seen: (string | undefined)[] = [];
    kubernetes.before = (method) => {
      if (method === "evict") seen.push(kubernetes.get("w1").annotations[storageAnnotation]);
    };
    const through = createHarness(kubernetes);
    await upgrade(through, gated({ storageGate: { timeoutSeconds: 20 } }));
    expect(JSON.parse(seen[0] ?? "")).toEqual({
      drivers: ["driver.longhorn.io", "iscsi.csi.joviandss.open-e.com"],
      volumes: ["pv-a"],
      claims: ["default/claim-of-pv-a"],
      broken: [],
    });
    expect(kubernetes.get("w1").annotations).toEqual({});
    upgraded();
  });

  it("a driver that does not register again stops the rollout; the next run checks again and finishes", async () => {
    kubernetes.before = (method) => {
      if (method === "driversOn" && cluster.node("w1").snapshot().reboots === 1)
        kubernetes.storage.drivers.set("w1", ["iscsi.csi.joviandss.open-e.com"]);
    };
    const { message } = await expectFailure(upgrade(createHarness(kubernetes)));
    expect(message).toContain(
      'w1 (127.44.26.21), step "storage": storage is not healthy after 1 s: CSI driver driver.longhorn.io is not registered on the node [storage-not-back].',
    );
    upgraded();
    expect(kubernetes.get("w1").unschedulable).toBe(false);
    expect(message).not.toMatch(/cordoned/);

    const again = await expectFailure(upgrade(createHarness(kubernetes)));
    expect(again.message).toContain('step "storage"');
    kubernetes.before = () => undefined;
    kubernetes.storage.drivers.set("w1", ["iscsi.csi.joviandss.open-e.com", "driver.longhorn.io"]);
    await upgrade(createHarness(kubernetes));
    upgraded();
    expect(kubernetes.get("w1").annotations).toEqual({});
  });

  it("ignores this program's drivers on a node with iscsi: false", async () => {
    kubernetes.get("w1").withoutIscsi = true;
    kubernetes.storage.drivers.set("w1", ["iscsi.csi.joviandss.open-e.com"]);
    kubernetes.before = (method) => {
      if (method === "evict" || cluster.node("w1").snapshot().reboots === 0) return;
      kubernetes.storage.drivers.set("w1", []);
    };
    await upgrade(createHarness(kubernetes, { probeMs: 5_000, contactMs: 15_000, rebootMs: 30_000 }));
    upgraded();
  });

  it("waits for a driver's pod that is not ready", async () => {
    kubernetes.before = (method) => {
      if (method !== "driversOn" || cluster.node("w1").snapshot().reboots === 0) return;
      kubernetes.pods = kubernetes.pods.map((pod) =>
        pod.name === "csi-node" ? { ...pod, ready: false, reason: "CrashLoopBackOff" } : pod,
      );
      kubernetes.before = () => undefined;
    };
    const { message } = await expectFailure(upgrade(createHarness(kubernetes)));
    expect(message).toContain("the driver's pod default/csi-node (CrashLoopBackOff) is not ready");
  });

  it("waits for a volume with an attach error", async () => {
    workload(() => runsElsewhere({ attached: false, error: "the array does not know the initiator" }));
    const { message } = await expectFailure(upgrade(createHarness(kubernetes)));
    expect(message).toContain("volume pv-a on cp1: the array does not know the initiator");
    upgraded();
  });

  it("waits for a volume that is not attached yet and a pod that is not running again", async () => {
    workload(() => {
      kubernetes.storage.attach("cp1", "pv-a", { attached: false });
      kubernetes.pod("cp1", "db-0", {
        ...{ owner: "StatefulSet", uid: "uid-2", claims: ["default/claim-of-pv-a"] },
        ...{ running: false, ready: false, reason: "ContainerCreating" },
      });
    });
    const { message } = await expectFailure(upgrade(createHarness(kubernetes)));
    expect(message).toContain(
      "volume pv-a is not attached to cp1 yet; pod default/db-0 (ContainerCreating) with claim default/claim-of-pv-a is not running again",
    );
  });

  it("ignores earlier problems and pods that are gone for good", async () => {
    kubernetes.storage.attach("w1", "pv-old", { attached: false, error: "no such LUN" });
    kubernetes.pod("cp1", "pending", { running: false, claims: ["default/other"] });
    workload(() => {
      kubernetes.storage.detach("pv-old");
      kubernetes.storage.attach("cp1", "pv-old", { attached: false, error: "no such LUN" });
    });
    setTimeout(() => kubernetes.storage.detach("pv-old", "w1"), 100);
    await upgrade(createHarness(kubernetes));
    upgraded();
  });

  it("uses the note of a run that was killed in between", async () => {
    workload(() => undefined);
    const first = createHarness(kubernetes);
    const stopped = expectFailure(upgrade(first));
    while (cluster.node("w1").snapshot().powered) await new Promise((resolve) => setTimeout(resolve, 5));
    await first.provider.cancel();
    await stopped;
    expect(kubernetes.get("w1").annotations[storageAnnotation]).toContain("claim-of-pv-a");
    runsElsewhere({ attached: false, error: "the array is away" });
    const { message } = await expectFailure(upgrade(createHarness(kubernetes)));
    expect(message).toContain(
      'step "storage": storage is not healthy after 1 s: volume pv-a on cp1: the array is away',
    );
  });

  it("leaves no note on a node that was not disturbed", async () => {
    workload(() => undefined);
    kubernetes.blocked.set("db-0", "not now");
    await expectFailure(
      upgrade(createHarness(kubernetes), gated({ drain: { enabled: true, timeoutSeconds: 0.3 } })),
    );
    expect(kubernetes.get("w1").annotations[storageAnnotation]).toBeUndefined();
  });

  it("also applies to a node that is not drained", async () => {
    kubernetes.pod("w1", "db-0", { owner: "StatefulSet", claims: ["default/claim-of-pv-a"] });
    kubernetes.storage.attach("w1", "pv-a");
    kubernetes.before = (method) => {
      if (method === "driversOn" && cluster.node("w1").snapshot().reboots === 1)
        kubernetes.storage.attached.all = kubernetes.storage.attached.all.map((one) => ({
          ...one,
          error: "gone",
        }));
    };
    const { message } = await expectFailure(
      upgrade(createHarness(kubernetes), gated({ drain: { enabled: false } })),
    );
    expect(message).toContain("volume pv-a on w1: gone");
  });

  it.each<[string, string[], Properties | undefined, number]>([
    [
      "is on where a driver of this program is",
      [csiDrivers.joviandss.driverName, csiDrivers.synology.driverName],
      undefined,
      1,
    ],
    ["is off where only others are", ["driver.longhorn.io"], undefined, 0],
    ["is on for others where the settings say so", ["driver.longhorn.io"], { enabled: true }, 1],
    [
      "is off where the settings say so",
      [csiDrivers.joviandss.driverName, csiDrivers.synology.driverName],
      { enabled: false },
      0,
    ],
  ])("%s", async (_, drivers, storageGate, notes) => {
    kubernetes.storage.drivers.set("w1", drivers);
    const before: (string | undefined)[] = [];
    kubernetes.before = (method) => {
      if (method === "podsOn" && kubernetes.get("w1").unschedulable) return;
      if (method === "version") return;
      before.push(kubernetes.get("w1").annotations[storageAnnotation]);
    };
    const { status } = await (async () => {
      const through = createHarness(kubernetes);
      await upgrade(through, { ...gated(), ...(storageGate === undefined ? {} : { storageGate }) });
      return through;
    })();
    expect(before.some((note) => note !== undefined)).toBe(notes === 1);
    expect(status.some((line) => line.startsWith("[11/11] storage"))).toBe(notes === 1);
  });

  it("costs three lists of attachments and two queries each for drivers and pods", async () => {
    await upgrade(createHarness(kubernetes));
    const { calls } = kubernetes;
    expect({
      drivers: calls.get("driversOn"),
      pods: calls.get("podsOn"),
      claims: calls.get("podsIn"),
    }).toEqual({
      ...{ drivers: 2, pods: 2, claims: undefined },
    });
    // Before the drain, at its end, and after the boot, because an older watch may be half open.
    expect(calls.get("attachments")).toBe(3);
  });
});

describe("a budget that never yields", () => {
  const held = "The disruption budget db needs 1 healthy pods and has 1 currently";

  it("has its pod deleted after a timeout if the settings say so", async () => {
    kubernetes.pod("w1", "db-0", { owner: "StatefulSet" });
    kubernetes.blocked.set("db-0", held);
    const through = createHarness(kubernetes);
    const drain = { enabled: true, timeoutSeconds: 20, whenBlocked: "delete", blockedTimeoutSeconds: 0.3 };
    await upgrade(through, gated({ drain }));
    expect(kubernetes.log).toEqual(["cordon w1", "delete pod db-0", "uncordon w1"]);
    expect(kubernetes.calls.get("evict")).toBeGreaterThan(1);
    expect(through.warnings).toEqual([
      `deleting pod default/db-0: its PodDisruptionBudget blocked the eviction for 0 s: ${held}`,
    ]);
    upgraded();
  });

  it("is not what an admission webhook is: the pod it protects is not deleted", async () => {
    kubernetes.pod("w1", "db-0", { owner: "StatefulSet" });
    kubernetes.blocked.set("db-0", 'admission webhook "guard" denied the request: db-0 is being backed up');
    const drain = { enabled: true, timeoutSeconds: 1, whenBlocked: "delete", blockedTimeoutSeconds: 0.2 };
    const { message } = await expectFailure(upgrade(createHarness(kubernetes), gated({ drain })));
    expect(message).toMatch(
      /db-0 is being backed up.*\[drain-pods\]\. Do what webhook guard asks for, then run `pulumi up` again/,
    );
    expect(kubernetes.calls.get("deletePod")).toBeUndefined();
  });

  it.each([
    [
      'failed calling webhook "guard.example.com": failed to call webhook: connect: connection refused',
      /Bring back what answers webhook guard\.example\.com \(`kubectl get .*webhookconfigurations`/,
    ],
    [
      'admission webhook "guard" denied the request: the disruption budget of the application is used up',
      /Do what webhook guard asks for/,
    ],
    [
      "ValidatingAdmissionPolicy 'calm' with binding 'all' denied request: no disruption budget",
      /Do what policy calm asks for/,
    ],
  ])("is not what admission control is, whatever its words are: %s", async (reason, told) => {
    kubernetes.pod("w1", "db-0", { owner: "StatefulSet" });
    kubernetes.blocked.set("db-0", reason);
    const drain = { enabled: true, timeoutSeconds: 1, whenBlocked: "delete", blockedTimeoutSeconds: 0.2 };
    const { message } = await expectFailure(upgrade(createHarness(kubernetes), gated({ drain })));
    expect(message).toContain(`default/db-0 (${reason}) [drain-pods]`);
    expect(message).toMatch(told);
    expect(message).not.toContain("PodDisruptionBudgets");
    expect(kubernetes.calls.get("deletePod")).toBeUndefined();
  });

  it("is honored by default", async () => {
    kubernetes.pod("w1", "db-0", { owner: "StatefulSet" });
    kubernetes.blocked.set("db-0", held);
    const { message } = await expectFailure(upgrade(createHarness(kubernetes)));
    expect(message).toContain(held);
    expect(kubernetes.calls.get("deletePod")).toBeUndefined();
  });
});

describe("the preview", () => {
  const preflightUrn = "urn:pulumi:dev::talos-iscsi::talos-node:index:RolloutPreflight::preflight";
  const preview = async (change: Properties = {}): Promise<string[]> => {
    const { name, node, role, talosVersion, image, ...shared } = inputsFor(cluster, "w1", gated(change));
    const through = createHarness(kubernetes);
    await through.provider.check(
      preflightUrn,
      {},
      {
        ...shared,
        nodes: [{ name, node, role, talosVersion, image }],
      },
    );
    return through.warnings;
  };

  it("lists budgets that allow no disruption now, with their pods", async () => {
    kubernetes.storage.protecting = [
      { namespace: "db", name: "db", allowed: 0, selector: "app=db", pods: ["db/db-0", "db/db-1"] },
      { namespace: "web", name: "web", allowed: 1, selector: "app=web", pods: ["web/web-0"] },
      { namespace: "old", name: "unused", allowed: 0, selector: "app=old", pods: [] },
    ];
    expect(await preview()).toContainEqual(
      "PodDisruptionBudgets that allow no disruption now: db/db (pods db/db-0, db/db-1). A drain of a node with these pods would wait for them, and stop the rollout (upgrade.drain.whenBlocked: stop)",
    );
    expect((await preview({ drain: { enabled: false } })).join()).not.toContain("PodDisruptionBudget");
  });

  it("lists existing storage problems", async () => {
    kubernetes.storage.attach("cp1", "pv-old", { attached: false, error: "no such LUN" });
    const [pod] = kubernetes.pods;
    if (pod === undefined) throw new Error("no pod");
    const stuck = { ...pod, name: "db-1", running: false, claims: ["default/x"], reason: "unbound claim" };
    kubernetes.storage.pending = [stuck];
    expect(await preview()).toContainEqual(
      "storage problems before the rollout, which do not stop it: volume pv-old on cp1: no such LUN; pod default/db-1 does not run: unbound claim",
    );
  });
});

describe("initiator names", () => {
  it("are listed with the new ones, ready to paste, before they change, and the node then gets the listed one", async () => {
    await cluster.stop();
    cluster = await SimulatedCluster.start({ subnet, version: "v1.9.5", workers: 1 });
    const node = cluster.node("w1");
    // The machine gets the extension before.
    await upgrade(createHarness(), { talosVersion: "v1.9.6" });
    const inputs = inputsFor(cluster, "w1", { talosVersion: "v1.10.9" });
    const { name, node: address, role, talosVersion, image, ...shared } = inputs;
    const through = createHarness(kubernetes);
    await through.provider.check(
      "urn:pulumi:dev::talos-iscsi::talos-node:index:RolloutPreflight::preflight",
      {},
      { ...shared, nodes: [{ name, node: address, role, talosVersion, image }] },
    );
    const warning = through.warnings.find((text) => text.startsWith("initiator names change"));
    const future = `iqn.2017-11.dev.talos:${node.disk.machineId}`;
    expect(warning).toMatch(
      new RegExp(`\\n {2}w1: iqn\\.2016-04\\S+ -> ${future}\\nThe new names:\\n${future}$`),
    );
    const { outs } = await upgrade(createHarness(), { talosVersion: "v1.10.9" });
    expect(outs["initiatorName"]).toBe(future);
  });
});
