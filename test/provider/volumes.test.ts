import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Properties } from "../../provider/secrets.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { targetOf } from "./fakeStorage.ts";
import { expectFailure, createHarness, inputsFor, urn, type Harness } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

/** A drain ends when the volumes have left: attachments in memory, sessions on simulated nodes. */

const subnet = "127.44.25";
let cluster: SimulatedCluster;
let kubernetes: FakeKubernetes;

async function start(version = "v1.13.7"): Promise<void> {
  cluster = await SimulatedCluster.start({ subnet, version, workers: 1 });
  kubernetes = new FakeKubernetes().add("cp1", `${subnet}.11`).add("w1", `${subnet}.21`);
}
beforeEach(() => start());
afterEach(async () => {
  await cluster.stop();
});

const drained = (change: Properties = {}): Properties => ({
  drain: { enabled: true, timeoutSeconds: 1, ...change },
  kubeconfig: "of a test",
});
const upgrade = (through: Harness, inputs: Properties, node = "w1") =>
  through.provider.create(urn, inputsFor(cluster, node, inputs));

/** A driver's volume in use: a pod with a claim, its attachment and its session. The kubelet logs out when the pod has left. */
function volume(name: string, { detaches = 50, logsOut = true } = {}): void {
  const sessions = (): NonNullable<ReturnType<typeof cluster.node>["boot"]>["iscsi"] => {
    const { boot } = cluster.node("w1");
    if (boot === undefined) throw new Error("w1 is off");
    return boot.iscsi;
  };
  kubernetes.pod("w1", `pod-of-${name}`, { claims: [`default/claim-of-${name}`] });
  kubernetes.storage.attach("w1", name);
  sessions().login(targetOf(name), "10.0.0.5");
  const before = kubernetes.after;
  kubernetes.after = (entry) => {
    before(entry);
    if (entry !== `evict pod-of-${name}`) return;
    if (logsOut) sessions().logout(targetOf(name));
    if (detaches !== Infinity) setTimeout(() => kubernetes.storage.detach(name, "w1"), detaches);
  };
}

/** What was left when the node went down. */
function leftAtReboot(): { attachments: string[]; sessions: string[] } {
  const seen = { attachments: ["never went down"], sessions: ["never went down"] };
  const node = cluster.node("w1");
  const boot = node.boot;
  boot?.power.addEventListener("abort", () => {
    seen.attachments = kubernetes.storage.attached.all.map(({ volume: name }) => name);
    seen.sessions = boot.iscsi.targets;
  });
  return seen;
}

describe("a drain ends when the volumes have left", () => {
  it("waits until the last volume is detached before the reboot", async () => {
    volume("pv-a", { detaches: 300 });
    volume("pv-b");
    const seen = leftAtReboot();
    await upgrade(createHarness(kubernetes), drained());
    expect(seen).toEqual({ attachments: [], sessions: [] });
    expect(cluster.node("w1").snapshot()).toMatchObject({ version: "v1.13.9", reboots: 1 });
  });

  it("lists volume, claim, driver, target and portal of a volume that never detaches, and leaves the node alone", async () => {
    volume("pv-a", { detaches: Infinity, logsOut: false });
    cluster.node("w1").boot?.iscsi.login("iqn.2000-01.com.example:left-behind", "10.0.0.6", 3261);
    const { message } = await expectFailure(upgrade(createHarness(kubernetes), drained()));
    expect(message).toContain(
      'w1 (127.44.25.21), step "drain": volumes had not left after 1 s: ' +
        "volume pv-a (claim default/claim-of-pv-a, driver iscsi.csi.joviandss.open-e.com, " +
        `target ${targetOf("pv-a")}, portal 10.0.0.5:3260); ` +
        "iSCSI session 2 (target iqn.2000-01.com.example:left-behind, portal 10.0.0.6:3261), which belongs to no attachment: leaked by a driver [volumes-attached].",
    );
    expect(message).toMatch(/It was uncordoned\.$/);
    expect(cluster.node("w1").snapshot()).toMatchObject({ version: "v1.13.7", reboots: 0 });
    expect(kubernetes.get("w1").unschedulable).toBe(false);

    kubernetes.storage.detach("pv-a");
    cluster.node("w1").boot?.iscsi.logout(targetOf("pv-a"));
    await upgrade(createHarness(kubernetes), drained());
    expect(cluster.node("w1").snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1, reboots: 1 });
  });

  it("names the remaining pod that keeps its volume", async () => {
    kubernetes.pod("w1", "scanner", { owner: "DaemonSet", claims: ["default/claim-of-pv-a"] });
    kubernetes.storage.attach("w1", "pv-a", { error: "the target is busy" });
    const { message } = await expectFailure(upgrade(createHarness(kubernetes), drained()));
    expect(message).toContain("used by pod default/scanner (DaemonSet), the target is busy)");
    expect(cluster.node("w1").snapshot().reboots).toBe(0);
  });

  it("waits for volumes that only the kubelet reports", async () => {
    kubernetes.get("w1").volumesInUse = ["kubernetes.io/iscsi/10.0.0.5:3260:iqn.x:1:0"];
    const { message } = await expectFailure(upgrade(createHarness(kubernetes), drained()));
    expect(message).toContain(
      "volume kubernetes.io/iscsi/10.0.0.5:3260:iqn.x:1:0 (in use, says the kubelet)",
    );
    const work = upgrade(createHarness(kubernetes), drained({ timeoutSeconds: 20 }));
    setTimeout(() => (kubernetes.get("w1").volumesInUse = []), 200);
    await work;
    expect(cluster.node("w1").snapshot().reboots).toBe(1);
  });

  it("ignores attachments to other nodes", async () => {
    kubernetes.storage.attach("cp1", "pv-a");
    await upgrade(createHarness(kubernetes), drained());
    expect(cluster.node("w1").snapshot().reboots).toBe(1);
  });

  it("also applies to the older API, which installs and reboots in one call", async () => {
    await cluster.stop();
    await start("v1.12.7");
    volume("pv-a", { detaches: Infinity });
    const { message } = await expectFailure(upgrade(createHarness(kubernetes), drained()));
    expect(message).toMatch(/step "drain": volumes had not left after 1 s: volume pv-a/);
    expect(cluster.node("w1").snapshot()).toMatchObject({ version: "v1.12.7", upgrades: 0, reboots: 0 });

    kubernetes.storage.detach("pv-a");
    const seen = leftAtReboot();
    await upgrade(createHarness(kubernetes), drained());
    expect(seen).toEqual({ attachments: [], sessions: [] });
  });

  it("continues when the API is briefly down", async () => {
    volume("pv-a");
    let asked = 0;
    kubernetes.before = (method) => {
      if (method === "attachments" && ++asked <= 2) kubernetes.down = "connect ECONNREFUSED";
      else kubernetes.down = undefined;
    };
    await upgrade(createHarness(kubernetes), drained({ timeoutSeconds: 20 }));
    expect(asked).toBeGreaterThan(2);
    expect(cluster.node("w1").snapshot().reboots).toBe(1);
  });

  it("does not treat an unanswered query as no volumes", async () => {
    kubernetes.before = (method) => {
      kubernetes.down = method === "attachments" ? "connect ECONNREFUSED" : undefined;
    };
    const { message } = await expectFailure(upgrade(createHarness(kubernetes), drained()));
    expect(message).toMatch(/step "drain": .*connect ECONNREFUSED.*\[volumes-unknown\]/);
    expect(cluster.node("w1").snapshot().reboots).toBe(0);
  });
});

describe("leaked sessions of a driver", () => {
  it("cause a warning but do not stop the reboot", async () => {
    volume("pv-a", { logsOut: false });
    const through = createHarness(kubernetes);
    await upgrade(through, drained());
    expect(through.warnings).toEqual([
      `reboots with what a driver left behind: iSCSI session 1 (target ${targetOf("pv-a")}, portal 10.0.0.5:3260), which belongs to no attachment: leaked by a driver`,
    ]);
    expect(cluster.node("w1").snapshot().reboots).toBe(1);
  });

  it("cause no warning if they close in time", async () => {
    volume("pv-a", { logsOut: false });
    const { boot } = cluster.node("w1");
    setTimeout(() => boot?.iscsi.logout(targetOf("pv-a")), 700);
    const through = createHarness(kubernetes, { leftoverMs: 20_000 });
    await upgrade(through, drained({ timeoutSeconds: 20 }));
    expect(through.warnings).toEqual([]);
  });

  it("stop the drain if the settings say so", async () => {
    volume("pv-a", { logsOut: false });
    const refusing = drained({ leftoverSessions: "refuse" });
    const { message } = await expectFailure(upgrade(createHarness(kubernetes), refusing));
    expect(message).toMatch(
      /step "drain": volumes had not left after 1 s: iSCSI session 1 .*leaked by a driver/,
    );
    expect(cluster.node("w1").snapshot().reboots).toBe(0);

    cluster.node("w1").boot?.iscsi.logout(targetOf("pv-a"));
    await upgrade(createHarness(kubernetes), refusing);
    expect(cluster.node("w1").snapshot().reboots).toBe(1);
  });
});

describe("a node that is not drained", () => {
  it("has its volumes listed in the preview", async () => {
    volume("pv-a");
    const { name, node, role, talosVersion, image, ...shared } = inputsFor(cluster, "w1", {
      kubeconfig: "of a test",
    });
    const inputs = { ...shared, nodes: [{ name, node, role, talosVersion, image }] };
    const preflightUrn = "urn:pulumi:dev::talos-iscsi::talos-node:index:RolloutPreflight::preflight";
    const through = createHarness(kubernetes);
    await through.provider.check(preflightUrn, {}, inputs);
    expect(through.warnings).toContainEqual(
      expect.stringMatching(
        /^w1: is not drained and goes down with its volumes: volume pv-a \(claim default\/claim-of-pv-a/,
      ),
    );

    const careful = createHarness(kubernetes);
    await careful.provider.check(preflightUrn, {}, { ...inputs, ...drained() });
    expect(careful.warnings.join()).not.toContain("volumes");
  });

  it("has its volumes listed before it goes down", async () => {
    volume("pv-a");
    const through = createHarness(kubernetes);
    await upgrade(through, { kubeconfig: "of a test", drain: { enabled: false } });
    expect(through.warnings).toEqual([
      `is not drained (drain.enabled: false) and goes down with its volumes: volume pv-a (claim default/claim-of-pv-a, driver iscsi.csi.joviandss.open-e.com, target ${targetOf("pv-a")}, portal 10.0.0.5:3260, used by pod default/pod-of-pv-a (ReplicaSet))`,
    ]);
    expect(cluster.node("w1").snapshot().reboots).toBe(1);
  });

  it("has its sessions listed without Kubernetes too", async () => {
    cluster.node("w1").boot?.iscsi.login("iqn.x:1", "10.0.0.5");
    const through = createHarness();
    await upgrade(through, {});
    expect(through.warnings).toEqual([
      expect.stringContaining("iSCSI session 1 (target iqn.x:1, portal 10.0.0.5:3260)"),
    ]);
  });

  it("has its volumes listed if it is the only node of its cluster", async () => {
    kubernetes.cluster.delete("cp1");
    volume("pv-a");
    const through = createHarness(kubernetes);
    await upgrade(through, drained());
    expect(through.warnings).toEqual([
      expect.stringMatching(
        /^is not drained \(the only node of its cluster\) and goes down with its volumes: volume pv-a/,
      ),
    ]);
  });
});

describe("the gate's second check", () => {
  it("stops the reboot for a volume that attaches after the drain", async () => {
    volume("pv-a");
    const { connectActor } = await import("../../talos/api/actor.ts");
    // Between the drain and the reboot, the gate reads the boot ID.
    const late: typeof connectActor = (connection) => {
      const client = connectActor(connection);
      return new Proxy(client, {
        get: (target, name) => {
          const member: unknown = Reflect.get(target, name, target);
          if (name !== "list")
            return typeof member === "function" ? (member.bind(target) as unknown) : member;
          return async (...args: Parameters<typeof client.list>) => {
            const found = await client.list(...args);
            if (found.length === 0) kubernetes.storage.attach("w1", "pv-late");
            return found;
          };
        },
      });
    };
    const { message } = await expectFailure(upgrade(createHarness(kubernetes, {}, late), drained()));
    expect(message).toMatch(/step "reboot": volumes are still on the node: volume pv-late/);
    expect(cluster.node("w1").snapshot().reboots).toBe(0);
    expect(kubernetes.get("w1").unschedulable).toBe(false);
  });
});

describe("requests to the Kubernetes API", () => {
  const calls = (): Record<string, number> => Object.fromEntries(kubernetes.calls);

  it("without volumes: one list of attachments and one watch", async () => {
    await upgrade(createHarness(kubernetes), drained());
    expect(calls()).toMatchObject({ attachments: 1, watchAttachments: 1 });
    expect(calls()["volumes"]).toBeUndefined();
  });

  it("without volumes but with a storage gate: three lists of attachments and two watches", async () => {
    kubernetes.storage.drivers.set("w1", ["iscsi.csi.joviandss.open-e.com"]);
    await upgrade(createHarness(kubernetes), drained());
    expect(calls()).toMatchObject({ attachments: 3, watchAttachments: 2, driversOn: 2 });
    expect(calls()["volumes"]).toBeUndefined();
    expect(calls()["podsIn"]).toBeUndefined();
  });

  it("with 200 attachments that leave one by one: no more lists than without", async () => {
    for (let i = 0; i < 200; i++) kubernetes.storage.attach("w1", `pv-${i}`);
    const leaving = setInterval(() => {
      const [next] = kubernetes.storage.attached.all;
      if (next === undefined) clearInterval(leaving);
      else kubernetes.storage.detach(next.volume);
    }, 2);
    await upgrade(createHarness(kubernetes), drained({ timeoutSeconds: 30 }));
    expect(calls()).toMatchObject({ attachments: 1, watchAttachments: 1 });
    expect(calls()["volumes"]).toBeUndefined();
  });
});
