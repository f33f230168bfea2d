import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import type { Clock } from "../../../provider/clock.ts";
import { cordonAnnotation, installAnnotation, resetAnnotation } from "../../../provider/kubernetes.ts";
import { membersByName } from "../../../provider/membership/members.ts";
import { changeMembership } from "../../../provider/membership/membership.ts";
import { upgradeNode, type Outcome } from "../../../provider/upgrade.ts";
import { TalosError } from "../../../talos/api/errors.ts";
import type { TalosActor } from "../../../talos/api/talosClient.ts";
import { steppingClock } from "./steppingClock.ts";
import { bootIdOf, FakeFleet, type Machine } from "./fakeFleet.ts";
import { image, openSession, surroundingsOf, wanted } from "./randomRollouts.ts";

// The checks that the steps of an upgrade and of a removal make themselves. Each has a test that fails without it. The gate's own checks are in
// gateLooks.test.ts.

let fleet: FakeFleet;
/** Answers that replace a machine's own, by `w1.machineStatus`. They get the machine's own client. */
let instead: Record<string, (own: TalosActor, ...args: never[]) => unknown>;

beforeEach(() => start("v1.13.7"));

function start(version: string): void {
  const names = ["cp1", "cp2", "cp3", "w1", "w2"];
  fleet = new FakeFleet(
    names.map((name, index): Machine => ({
      name,
      address: `10.0.0.${index + 1}`,
      role: name.startsWith("cp") ? "controlplane" : "worker",
      runs: { version, schematic: "b".repeat(64) },
      ...{ boot: 0, away: 0, installs: 0, boots: 0 },
    })),
  );
  instead = {};
  const own = fleet.client.bind(fleet);
  fleet.client = (address) => {
    const client = own(address);
    const { name } = fleet.machines.find((machine) => machine.address === address) ?? { name: "" };
    return new Proxy(client, {
      get: (target, property) => {
        const other = instead[`${name}.${String(property)}`];
        if (other !== undefined) return async (...args: never[]) => other(client, ...args);
        const member: unknown = Reflect.get(target, property, target);
        return typeof member === "function" ? (member.bind(target) as unknown) : member;
      },
    });
  };
}

async function upgrade(name: string, more: Record<string, unknown> = {}, clock?: Clock): Promise<Outcome> {
  const controlPlanes = fleet.members.map(({ address }) => address);
  const { context } = await openSession(fleet, fleet.get(name), controlPlanes, more, clock);
  return upgradeNode(context);
}

async function failedStep(name: string): Promise<string> {
  const outcome = await upgrade(name);
  return outcome.ok ? "none" : outcome.error.step;
}

const silent = (): never => {
  throw new TalosError("unreachable", "a node", "a call", "no route to host");
};
const running = { stage: "running", ready: true, unmet: [] };

describe("before the installation", () => {
  it("a node that is on its way down is not touched", async () => {
    let looks = 0;
    instead["w1.machineStatus"] = () => (looks++ % 2 === 0 ? running : { ...running, stage: "rebooting" });
    expect((await upgrade("w1")).ok).toBe(false);
    expect(fleet.get("w1")).toMatchObject({ installs: 0, boots: 0 });
  });

  it("another image that was installed in this boot is not overwritten", async () => {
    const other = `factory.talos.dev/metal-installer/x:v1.13.8@sha256:${"1".repeat(64)}`;
    instead["w1.installHistory"] = () => ({ last: undefined, completed: [other], complete: true });
    expect(await failedStep("w1")).toBe("install");
    expect(fleet.get("w1")).toMatchObject({ installs: 0, boots: 0 });
  });

  it("an installer that an earlier run started is waited for, and no second one starts", async () => {
    const machine = fleet.get("w1");
    machine.installed = wanted;
    let looks = 0;
    instead["w1.installHistory"] = (own) =>
      ++looks < 5 ? { last: { state: "running" }, completed: [], complete: true } : own.installHistory();
    expect((await upgrade("w1")).ok).toBe(true);
    expect(machine).toMatchObject({ installs: 0, boots: 1, runs: wanted });
  });

  it.each([
    ["done", true],
    ["begun", false],
  ])("an earlier run's note counts if the log says nothing: %s", async (state, complete) => {
    const machine = fleet.get("w1");
    machine.installed = wanted;
    fleet.kubernetes.get("w1").annotations[installAnnotation] = `${state} ${bootIdOf("w1", 0)} ${image}`;
    instead["w1.installHistory"] = () => ({ last: undefined, completed: [], complete });
    expect((await upgrade("w1")).ok).toBe(true);
    expect(machine).toMatchObject({ installs: 0, boots: 1, runs: wanted });
    expect(fleet.violations).toEqual([]);
  });

  it.each([
    ["boot", `done another boot ${image}`],
    ["image", `done ${bootIdOf("w1", 0)} factory.talos.dev/metal-installer/x:v1.13.8`],
  ])("a note of another %s is ignored", async (_, note) => {
    fleet.kubernetes.get("w1").annotations[installAnnotation] = note;
    expect((await upgrade("w1")).ok).toBe(true);
    expect(fleet.get("w1")).toMatchObject({ installs: 1, boots: 1, runs: wanted });
  });
});

describe("an upgrade up to Talos 1.12 that fails on the node", () => {
  it("counts as a failed installation if the node has rebooted by itself before the request", async () => {
    start("v1.12.7");
    const machine = fleet.get("w1");
    let failed = false;
    let looks = 0;
    instead["w1.upgradeLegacy"] = () => "the upgrade";
    instead["w1.upgradeFailure"] = () => {
      failed = true;
      return "exit code 3";
    };
    instead["w1.bootId"] = (own) => {
      // The first check sees the old boot. The next one is the gate's.
      if (failed && looks++ === 1) machine.boot += 1;
      return own.bootId();
    };
    expect(await failedStep("w1")).toBe("install");
    expect(machine.boot).toBe(1);
  });
});

describe("before the installation of a control plane", () => {
  it("the snapshot exists", async () => {
    const directory = mkdtempSync(join(tmpdir(), "step-looks-"));
    let there: string[] = [];
    instead["cp1.install"] = (own, ...args) => {
      there = readdirSync(directory);
      return own.install(...(args as unknown as Parameters<TalosActor["install"]>));
    };
    const etcdSnapshot = { cluster: "test", directory, keep: 1, ageRecipients: [] };
    expect((await upgrade("cp1", { etcdSnapshot })).ok).toBe(true);
    expect(there.length).toBeGreaterThan(0);
    rmSync(directory, { recursive: true });
  });

  it("every member's data is converted for the new etcd", async () => {
    start("v1.14.1");
    let enabled = false;
    let looks = 0;
    let stored = "";
    for (const name of ["cp1", "cp2", "cp3"]) {
      instead[`${name}.etcdStatus`] = async (own) => {
        if (enabled) looks += 1;
        // One of them is slow.
        stored = name !== "cp3" || looks < 20 ? "3.7.0" : "3.6.0";
        if (name !== "cp3" && enabled) stored = "3.6.0";
        return { ...(await own.etcdStatus()), storageVersion: stored };
      };
      instead[`${name}.etcdDowngrading`] = () => enabled;
    }
    instead["cp1.etcdDowngrade"] = () => void (enabled = true);
    let before = 0;
    instead["cp1.install"] = (own, ...args) => {
      before = looks;
      return own.install(...(args as unknown as Parameters<TalosActor["install"]>));
    };
    await upgrade("cp1", { etcdDowngrade: true });
    expect(before).toBeGreaterThanOrEqual(20);
  });
});

describe("before the reboot", () => {
  it("slow volumes are waited for, as long as the drain may take", async () => {
    const { kubernetes } = fleet;
    kubernetes.get("w1").volumesInUse = ["kubernetes.io/csi/a^b"];
    const clock = steppingClock();
    // Longer than the gate waits for them by itself.
    kubernetes.before = () => {
      if (clock.now() > 60_000) kubernetes.get("w1").volumesInUse = [];
    };
    expect((await upgrade("w1", { drain: { timeoutSeconds: 300 } }, clock)).ok).toBe(true);
    expect(clock.now()).toBeGreaterThan(60_000);
  });

  it("a node that has left Kubernetes meanwhile is not drained, so it is not rebooted", async () => {
    fleet.kubernetes.before = (method) => {
      if (method === "nodes" && fleet.log.includes("install w1")) fleet.kubernetes.cluster.delete("w1");
    };
    expect(await failedStep("w1")).toBe("drain");
    expect(fleet.get("w1").boots).toBe(0);
  });

  it.each<[string, () => unknown]>([
    ["a session comes back", () => ["session1"]],
    ["nobody can tell which sessions there are", silent],
  ])("after the drain %s: it is not rebooted", async (_, later) => {
    fleet.leftoverSessions = "refuse";
    let looks = 0;
    // Sessions are not read while the pod exists, because its volume is attached.
    instead["w1.list"] = () => (fleet.log.includes("evict pod-of-w1") && looks++ > 0 ? later() : []);
    expect(await failedStep("w1")).toBe("reboot");
    expect(fleet.get("w1").boots).toBe(0);
    expect(fleet.kubernetes.get("w1").unschedulable).toBe(false);
  });
});

describe("after the reboot request", () => {
  it("the old boot, which still answers for a while, is not mistaken for the new one", async () => {
    let pending = 0;
    instead["w1.reboot"] = () => void (pending = 5);
    instead["w1.machineStatus"] = async (own) => {
      if (pending > 0 && --pending === 0) await own.reboot();
      return own.machineStatus();
    };
    expect((await upgrade("w1")).ok).toBe(true);
    expect(fleet.get("w1")).toMatchObject({ boots: 1, runs: wanted });
  });

  it("an upgrade whose answer was lost does not fail, and is not requested again", async () => {
    start("v1.12.7");
    instead["w1.upgradeLegacy"] = async (own) => {
      await own.upgradeLegacy({ image, preserve: false });
      silent();
    };
    expect((await upgrade("w1")).ok).toBe(true);
    expect(fleet.get("w1")).toMatchObject({ installs: 1, boots: 1, runs: wanted });
  });

  it("a node that runs its old image again stays cordoned", async () => {
    fleet.setTrouble("w1", "falls back");
    expect(await failedStep("w1")).toBe("verify");
    expect(fleet.kubernetes.get("w1").unschedulable).toBe(true);
  });

  it.each([
    ["not ready", { ...running, ready: false }],
    ["not running", { ...running, stage: "booting" }],
  ])("a node that is %s stays cordoned", async (_, status) => {
    instead["w1.machineStatus"] = (own) => (fleet.get("w1").boot > 0 ? status : own.machineStatus());
    expect(await failedStep("w1")).toBe("verify");
    expect(fleet.kubernetes.get("w1").unschedulable).toBe(true);
  });

  it.each([
    ["without a leader", { leader: "0" }],
    ["with errors", { errors: ["etcdserver: no space"] }],
  ])("a control plane whose etcd is %s stays cordoned", async (_, change) => {
    instead["cp1.etcdStatus"] = async (own) => ({
      ...(await own.etcdStatus()),
      ...(fleet.get("cp1").boot > 0 ? change : {}),
    });
    expect(await failedStep("cp1")).toBe("verify");
    expect(fleet.kubernetes.get("cp1").unschedulable).toBe(true);
  });

  it("a node whose service does not run stays cordoned", async () => {
    const service = { id: "ext-iscsid", health: "unknown", lastEvent: "" };
    instead["w1.services"] = () => [{ ...service, state: fleet.get("w1").boot > 0 ? "Failed" : "Running" }];
    expect(await failedStep("w1")).toBe("verify");
    expect(fleet.kubernetes.get("w1").unschedulable).toBe(true);
  });

  it("a node whose kubelet has not reported since is not uncordoned yet", async () => {
    const { kubernetes } = fleet;
    const node = kubernetes.node.bind(kubernetes);
    let looks = 0;
    let before = 0;
    kubernetes.node = async (name) => {
      const found = await node(name);
      if (found === undefined || fleet.get(name).boot === 0 || ++looks >= 4) return found;
      return { ...found, bootId: bootIdOf(name, 0) };
    };
    const { after } = kubernetes;
    kubernetes.after = (entry) => {
      if (entry === "uncordon w1") before = looks;
      after(entry);
    };
    expect((await upgrade("w1")).ok).toBe(true);
    expect(before).toBeGreaterThanOrEqual(4);
  });

  it("a node that is not Ready in Kubernetes stays cordoned", async () => {
    const { kubernetes } = fleet;
    const node = kubernetes.node.bind(kubernetes);
    kubernetes.node = async (name) => {
      const found = await node(name);
      return found === undefined ? undefined : { ...found, ready: fleet.get(name).boot === 0 };
    };
    expect(await failedStep("w1")).toBe("uncordon");
    expect(kubernetes.get("w1")).toMatchObject({
      unschedulable: true,
      annotations: { [cordonAnnotation]: "talos-node" },
    });
  });

  it("someone else's cordon stays, whether the upgrade succeeds or fails", async () => {
    fleet.kubernetes.get("w1").unschedulable = true;
    fleet.setTrouble("w1", "budget blocks");
    expect(await failedStep("w1")).toBe("drain");
    expect(fleet.kubernetes.get("w1").unschedulable).toBe(true);
    fleet.setTrouble("w1", undefined);
    expect((await upgrade("w1")).ok).toBe(true);
    expect(fleet.kubernetes.get("w1").unschedulable).toBe(true);
  });
});

describe("a removal", () => {
  async function remove(name: string): Promise<void> {
    const all = fleet.machines.map((machine) => ({
      ...{ name: machine.name, node: machine.address, role: machine.role, onRemove: "reset" as const },
    }));
    fleet.leaving.add(name);
    const news = {
      nodes: membersByName(all.filter((member) => member.name !== name)),
      ...{
        clientConfiguration: {},
        kubeconfig: "in memory",
        drain: { timeoutSeconds: 5 },
        timeoutSeconds: 60,
      },
    };
    const { signal } = new AbortController();
    await changeMembership(surroundingsOf(fleet), "urn", { nodes: membersByName(all) }, news, signal);
  }

  it("records the reset on the Node object before requesting it", async () => {
    instead["w1.reset"] = async (own) => {
      expect(fleet.kubernetes.get("w1").annotations).toHaveProperty([resetAnnotation]);
      return own.reset();
    };
    await remove("w1");
    expect(fleet.kubernetes.cluster.has("w1")).toBe(false);
  });

  it("waits until the machine has been reset before it deletes the Node object", async () => {
    const left: number[] = [];
    const { after } = fleet.kubernetes;
    fleet.kubernetes.after = (entry) => {
      if (entry === "delete w1") left.push(fleet.get("w1").away);
      after(entry);
    };
    await remove("w1");
    expect(left).toEqual([0]);
  });

  it("of a control plane does not finish while etcd has its member", async () => {
    for (const name of ["cp1", "cp2"])
      instead[`${name}.etcdMembers`] = () =>
        ["cp1", "cp2", "cp3"].map((id) => ({ id, hostname: id, addresses: [], learner: false }));
    await expect(remove("cp3")).rejects.toThrow(/etcd still has its member cp3/);
    expect(fleet.kubernetes.cluster.has("cp3")).toBe(true);
  });
});
