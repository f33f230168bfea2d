import { beforeEach, describe, expect, it } from "vitest";
import { defaultTimeouts } from "../../../provider/timeouts.ts";
import { NodeRebooted } from "../../../provider/errors.ts";
import { SealedClients } from "../../../provider/gate/sealedClients.ts";
import { Gate } from "../../../provider/gate/gate.ts";
import type { GateSite } from "../../../provider/gate/site.ts";
import { NotRecovered, Refused } from "../../../provider/gate/refused.ts";
import { TalosError } from "../../../talos/api/errors.ts";
import type { TalosActor } from "../../../talos/api/talosClient.ts";
import { bootIdOf, FakeFleet, type Machine } from "./fakeFleet.ts";

// Each action of the gate by itself, against machines in memory: what it checks right before it acts, and in which order. The mutation check
// (test/night/mutants.ts) removes each check.

/** Calls that disturb a node or its cluster. */
const acts = [
  "install",
  "upgradeLegacy",
  "reboot",
  "reset",
  "etcdDowngrade",
  "forfeitLeadership",
  "applyConfiguration",
  "applyFirstConfiguration",
] as const;
type Act = (typeof acts)[number];

let fleet: FakeFleet;
/** Actions and their targets: `reboot cp1`. */
let done: string[];
/** Answers that replace a machine's own, by `cp2.machineStatus`. */
let instead: Record<string, () => unknown>;
/** Uses of the host lock, in order. */
let hosts: string[];

beforeEach(() => {
  const machine = (name: string, address: string): Machine => ({
    name,
    address,
    role: name.startsWith("cp") ? "controlplane" : "worker",
    runs: { version: "v1.13.7", schematic: "b".repeat(64) },
    ...{ boot: 0, away: 0, installs: 0, boots: 0 },
  });
  const names = ["cp1", "cp2", "cp3", "cp4", "w1"];
  fleet = new FakeFleet(names.map((name, index) => machine(name, `10.0.0.${index + 1}`)));
  [done, instead, hosts] = [[], {}, []];
});

function client(address: string): TalosActor {
  const own = fleet.client(address);
  const { name } = fleet.machines.find((one) => one.address === address) ?? { name: "" };
  return new Proxy(own, {
    get: (target, property) => {
      const other = instead[`${name}.${String(property)}`];
      if (other !== undefined) return async () => other();
      if (acts.includes(property as Act)) {
        return async () => {
          done.push(`${String(property)} ${name}`);
          return { mode: "NO_REBOOT", warnings: [], details: "" };
        };
      }
      const member: unknown = Reflect.get(target, property, target);
      return typeof member === "function" ? (member.bind(target) as unknown) : member;
    },
  });
}

function gateOf(name: string, more: Partial<GateSite> = {}): Gate {
  let now = 0;
  const node = fleet.get(name);
  const talos = async () => (connection: { endpoint: string }) => client(connection.endpoint);
  return new Gate({
    node: { name, node: node.address, role: node.role },
    controlPlanes: fleet.machines.filter(({ role }) => role === "controlplane").map((one) => one.address),
    services: [],
    cluster: "the cluster of this test",
    kubeconfig: "in memory",
    acting: new SealedClients({
      talos,
      kubernetes: async () => fleet.kubernetes,
      hostLock: async (cluster) => {
        hosts.push(`begin ${cluster}`);
        return () => hosts.push("end");
      },
    }),
    reader: client,
    connectionTo: (endpoint) => ({ endpoint, credentials: "maintenance" }),
    clock: {
      now: () => now,
      sleep: async (ms) => {
        await new Promise((resolve) => setImmediate(resolve));
        now += ms;
      },
    },
    timeouts: { ...defaultTimeouts, recoveryMs: 2_000, guardMs: 2_000, serviceMs: 3_000 },
    signal: new AbortController().signal,
    tell: () => undefined,
    ...more,
  });
}

const call = { deadlineMs: 1_000 };
const silent = (): never => {
  throw new TalosError("unreachable", "cp2", "a call", "no route to host");
};
const bootOf = (name: string): string => bootIdOf(name, 0);

interface Action {
  act: Act;
  of: string;
  run: (gate: Gate, bootId?: string) => Promise<unknown>;
}
const onControlPlane: Action[] = [
  {
    act: "install",
    of: "cp1",
    run: (gate, bootId = bootOf("cp1")) => gate.install("image", () => undefined, { bootId }, call),
  },
  {
    act: "upgradeLegacy",
    of: "cp1",
    run: (gate, bootId = bootOf("cp1")) =>
      gate.upgradeLegacy({ image: "image", preserve: false }, { bootId }, call),
  },
  { act: "reboot", of: "cp1", run: (gate, bootId = bootOf("cp1")) => gate.reboot({ bootId }, call) },
  { act: "reset", of: "cp1", run: (gate, bootId = bootOf("cp1")) => gate.reset({ bootId }, call) },
  { act: "etcdDowngrade", of: "cp1", run: (gate) => gate.enableEtcdDowngrade("3.5", call) },
  {
    act: "applyConfiguration",
    of: "cp1",
    run: (gate) => gate.applyConfiguration({ data: "", mode: "NO_REBOOT", disturbs: true }, call),
  },
];
const onWorker: Action[] = [
  { act: "reboot", of: "w1", run: (gate, bootId = bootOf("w1")) => gate.reboot({ bootId }, call) },
  { act: "reset", of: "w1", run: (gate, bootId = bootOf("w1")) => gate.reset({ bootId }, call) },
];

describe.each([...onControlPlane, ...onWorker])("$act of $of", ({ act, of, run }) => {
  it("is allowed if nothing prevents it", async () => {
    await run(gateOf(of));
    expect(done).toEqual([`${act} ${of}`]);
  });

  it("is refused while another control plane is down", async () => {
    fleet.get("cp2").failed = true;
    await expect(run(gateOf(of))).rejects.toBeInstanceOf(Refused);
    expect(done).toEqual([]);
  });

  it("is refused while etcd has an alarm", async () => {
    for (const name of ["cp1", "cp2"])
      instead[`${name}.etcdAlarms`] = () => [{ memberId: "cp3", alarm: "CORRUPT" }];
    await expect(run(gateOf(of))).rejects.toBeInstanceOf(Refused);
    expect(done).toEqual([]);
  });
});

const withBoot = [...onControlPlane.slice(0, 4), ...onWorker];
describe.each(withBoot)("$act of $of, meant for one boot", ({ of, run }) => {
  it("is refused in another boot", async () => {
    await expect(run(gateOf(of), "the boot before")).rejects.toBeInstanceOf(NodeRebooted);
    expect(done).toEqual([]);
  });

  it("is refused if the node does not report its boot", async () => {
    instead[`${of}.bootId`] = () => undefined;
    await expect(run(gateOf(of))).rejects.toThrow();
    expect(done).toEqual([]);
  });
});

describe.each([...onControlPlane.slice(1, 4), ...onWorker])(
  "$act of $of, which takes it down",
  ({ of, run }) => {
    it("is refused while volumes are on the node", async () => {
      const volumes = async () => [
        { code: "volumes-attached" as const, problem: "volume pv-late", hint: "", mayPass: false },
      ];
      await expect(run(gateOf(of, { volumes }))).rejects.toThrow("volume pv-late");
      expect(done).toEqual([]);
    });
  },
);

describe("a node that reports no boot ID", () => {
  it("is neither rebooted nor reset, even if none was expected", async () => {
    instead["cp1.bootId"] = () => undefined;
    await expect(gateOf("cp1").reboot({ bootId: undefined }, call)).rejects.toBeInstanceOf(Refused);
    await expect(gateOf("cp1").reset({ bootId: undefined }, call)).rejects.toBeInstanceOf(Refused);
    expect(done).toEqual([]);
  });

  it("is not rebooted after a failed upgrade if it has rebooted already", async () => {
    await expect(gateOf("cp1").rebootStopped({ bootId: "the boot before" }, call)).rejects.toBeInstanceOf(
      NodeRebooted,
    );
    expect(done).toEqual([]);
    await gateOf("cp1").rebootStopped({ bootId: bootOf("cp1") }, call);
    expect(done).toEqual(["reboot cp1"]);
  });
});

describe("etcd's leader", () => {
  const leads = (name: string): void => {
    for (const one of ["cp1", "cp2", "cp3", "cp4"])
      instead[`${one}.etcdStatus`] = () => ({
        ...{ memberId: one, version: "3.6.12", storageVersion: "3.6.0", leader: name },
        ...{ learner: false, errors: [] },
      });
  };

  it("hands leadership over before it goes down; a follower does not", async () => {
    leads("cp1");
    await gateOf("cp1").reboot({ bootId: bootOf("cp1") }, call);
    expect(done).toEqual(["forfeitLeadership cp1", "reboot cp1"]);
    done = [];
    leads("cp2");
    await gateOf("cp1").reboot({ bootId: bootOf("cp1") }, call);
    expect(done).toEqual(["reboot cp1"]);
  });
});

describe("the cluster lock", () => {
  it("is taken on this machine and in Kubernetes around each action, and only by control planes", async () => {
    await gateOf("cp1").reboot({ bootId: bootOf("cp1") }, call);
    expect(hosts).toEqual(["begin the cluster of this test", "end"]);
    expect(fleet.kubernetes.lease).toMatchObject({ holder: undefined });
    await gateOf("w1").reboot({ bootId: bootOf("w1") }, call);
    expect(hosts).toHaveLength(2);
  });

  it("keeps two actions of one process apart", async () => {
    let [now, most] = [0, 0];
    const gates = ["cp1", "cp2"].map((name) =>
      gateOf(name).underLock(async () => {
        most = Math.max(most, ++now);
        await new Promise((resolve) => setTimeout(resolve, 5));
        now -= 1;
      }),
    );
    await Promise.all(gates);
    expect(most).toBe(1);
  });

  it("cannot be taken while Kubernetes does not answer", async () => {
    fleet.kubernetes.down = "connect ECONNREFUSED";
    await expect(gateOf("cp1").reboot({ bootId: bootOf("cp1") }, call)).rejects.toBeInstanceOf(Refused);
    expect(done).toEqual([]);
  });

  it("is taken for a configuration with a kubeconfig fetched on demand, and only if something is disturbed", async () => {
    let asked = 0;
    const site: Partial<GateSite> = {
      kubeconfig: undefined,
      kubeconfigForLock: async () => {
        asked += 1;
        return "given out";
      },
    };
    const request = { data: "", mode: "NO_REBOOT" } as const;
    await gateOf("cp1", site).applyConfiguration({ ...request, disturbs: false }, call);
    await gateOf("w1", site).applyConfiguration({ ...request, disturbs: true }, call);
    expect([asked, fleet.kubernetes.lease]).toEqual([0, undefined]);
    await gateOf("cp1", site).applyConfiguration({ ...request, disturbs: true }, call);
    expect([asked, fleet.kubernetes.lease?.version]).toEqual([1, expect.any(String)]);
    expect(fleet.kubernetes.lease?.holder).toBeUndefined();
  });

  it("is skipped for a configuration if Kubernetes does not answer, since the change may be the fix", async () => {
    fleet.kubernetes.down = "connect ECONNREFUSED";
    const site = { kubeconfig: undefined, kubeconfigForLock: async () => "given out" };
    await gateOf("cp1", site).applyConfiguration({ data: "", mode: "NO_REBOOT", disturbs: true }, call);
    expect(done).toEqual(["applyConfiguration cp1"]);
  });

  it("stops the action if it is lost meanwhile", async () => {
    const gate = gateOf("cp1");
    await expect(
      gate.underLock(async () => {
        fleet.kubernetes.lease = { holder: "another run", version: "99" };
        await gate.reboot({ bootId: bootOf("cp1") }, call);
      }),
    ).rejects.toBeInstanceOf(Refused);
    expect(done).toEqual([]);
  });

  it("stops the manifests if it is lost meanwhile", async () => {
    const gate = gateOf("cp1");
    const manifest = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "one" } } as never;
    await expect(
      gate.underLock(async () => {
        fleet.kubernetes.lease = { holder: "another run", version: "99" };
        await gate.applyManifests([manifest]);
      }),
    ).rejects.toBeInstanceOf(Refused);
    expect(fleet.kubernetes.calls.get("applyManifest")).toBeUndefined();
  });
});

describe("a disruptive configuration", () => {
  const apply = (gate: Gate, disturbs = true): Promise<unknown> =>
    gate.applyConfiguration({ data: "", mode: "NO_REBOOT", disturbs }, call);

  it("waits for another control plane's kube-apiserver", async () => {
    instead["cp2.apiServer"] = () => ({ ready: false, outdated: false });
    await expect(apply(gateOf("cp1"))).rejects.toThrow("kube-apiserver on 10.0.0.2 is not ready");
    expect(done).toEqual([]);
  });

  it("waits a while for one that does not run its new manifest yet", async () => {
    let looks = 0;
    let before = 0;
    instead["cp2.apiServer"] = () => ({ ready: true, outdated: ++looks < 4 });
    instead["cp1.applyConfiguration"] = () => {
      before = looks;
      return { mode: "NO_REBOOT", warnings: [], details: "" };
    };
    await apply(gateOf("cp1"));
    expect(before).toBeGreaterThanOrEqual(4);
  });

  it("is not applied while etcd does not answer", async () => {
    for (const one of ["cp1", "cp2", "cp3", "cp4"]) instead[`${one}.etcdMembers`] = silent;
    await expect(apply(gateOf("cp1"))).rejects.toThrow(/etcd does not answer/);
    await expect(apply(gateOf("w1"))).rejects.toThrow(/etcd does not answer/);
    expect(done).toEqual([]);
  });

  it.each([
    ["a learner", () => ({ id: "cp3", hostname: "cp3", addresses: [], learner: true })],
    [
      "one that has never started",
      () => ({ id: "9", hostname: "", addresses: ["10.0.0.9"], learner: false }),
    ],
  ])("is not applied while etcd has %s among its members", async (_, member) => {
    const members = ["cp1", "cp2", "cp4"].map((name) => ({
      ...{ id: name, hostname: name, addresses: [], learner: false },
    }));
    for (const one of ["cp1", "cp2", "cp3", "cp4"])
      instead[`${one}.etcdMembers`] = () => [...members, member()];
    await expect(apply(gateOf("cp1"))).rejects.toBeInstanceOf(Refused);
    expect(done).toEqual([]);
  });

  it.each(["cp1", "w1"])(
    "of %s is done only once the machine has stayed healthy for a moment",
    async (name) => {
      let looks = 0;
      const unwell = { stage: "running", ready: false, unmet: [] };
      const well = { stage: "running", ready: true, unmet: [] };
      // Not ready again shortly after it was ready.
      instead[`${name}.machineStatus`] = () => (done.length > 0 && ++looks === 2 ? unwell : well);
      instead["cp2.apiServer"] = () => undefined;
      await apply(gateOf(name));
      expect(looks).toBeGreaterThanOrEqual(4);
      instead[`${name}.machineStatus`] = () => (done.length > 1 ? unwell : well);
      await expect(apply(gateOf(name))).rejects.toBeInstanceOf(NotRecovered);
    },
  );

  it("is done as soon as the machine has been healthy long enough, regardless of the polling interval", async () => {
    let now = 0;
    let wellAt: number | undefined;
    const clock = { now: () => now, random: () => 0, sleep: async (ms: number) => void (now += ms) };
    const isBack = (): boolean => done.length === 0 || now >= 20_000;
    instead["w1.machineStatus"] = () => {
      if (done.length > 0 && isBack()) wellAt ??= now;
      return { stage: "running", ready: isBack(), unmet: [] };
    };
    await apply(gateOf("w1", { clock, timeouts: { ...defaultTimeouts, serviceMs: 60_000 } }));
    expect(now - (wellAt ?? 0)).toBe(defaultTimeouts.steadyMs);
  });

  it("fails if the machine does not answer afterwards", async () => {
    instead["w1.machineStatus"] = () =>
      done.length > 0 ? silent() : { stage: "running", ready: true, unmet: [] };
    await expect(apply(gateOf("w1"))).rejects.toBeInstanceOf(NotRecovered);
  });

  it("of a drained node is not applied while volumes are on it", async () => {
    const volumes = async () => [
      { code: "volumes-attached" as const, problem: "volume pv-late", hint: "", mayPass: false },
    ];
    const gate = gateOf("w1", { volumes });
    const request = { data: "", mode: "NO_REBOOT", disturbs: true } as const;
    await expect(gate.applyConfiguration({ ...request, drained: true }, call)).rejects.toThrow(
      "volume pv-late",
    );
    expect(done).toEqual([]);
    await gate.applyConfiguration(request, call);
    expect(done).toEqual(["applyConfiguration w1"]);
  });

  it("is checked, and one that takes nothing from the cluster is not", async () => {
    fleet.get("cp2").failed = true;
    await apply(gateOf("cp1"), false);
    expect(done).toEqual(["applyConfiguration cp1"]);
  });
});

describe("without an answer", () => {
  it("a node does not go down: etcd does not answer", async () => {
    for (const one of ["cp1", "cp2", "cp3", "cp4"]) instead[`${one}.etcdMembers`] = silent;
    await expect(gateOf("cp1").reboot({ bootId: bootOf("cp1") }, call)).rejects.toThrow(
      /etcd does not answer/,
    );
    await expect(gateOf("cp1").reset({ bootId: bootOf("cp1") }, call)).rejects.toThrow(
      /etcd does not answer/,
    );
    expect(done).toEqual([]);
  });

  it("a node does not go down: another member does not answer", async () => {
    instead["cp2.etcdStatus"] = silent;
    await expect(gateOf("cp1").reboot({ bootId: bootOf("cp1") }, call)).rejects.toThrow(
      /etcd on 10\.0\.0\.2 does not answer/,
    );
    expect(done).toEqual([]);
  });

  it("nothing is installed: etcd's version is unknown", async () => {
    const wanted = { talosVersion: "v1.14.1", allowDowngrade: false, snapshot: false };
    const install = () =>
      gateOf("cp1", { wanted }).install("image", () => undefined, { bootId: bootOf("cp1") }, call);
    await install();
    expect(done).toEqual(["install cp1"]);
    const back = { talosVersion: "v1.10.9", allowDowngrade: true, snapshot: true };
    instead["cp1.etcdDowngrading"] = silent;
    await expect(
      gateOf("cp1", { wanted: back }).install("image", () => undefined, { bootId: bootOf("cp1") }, call),
    ).rejects.toThrow(/\[etcd-version-unknown\]/);
    expect(done).toHaveLength(1);
  });
});

describe("a control plane that leaves for good", () => {
  const reset = (gate: Gate): Promise<unknown> => gate.reset({ bootId: bootOf("cp1") }, call);

  it("stays while another one is not ready, even with enough votes", async () => {
    instead["cp2.machineStatus"] = () => ({ stage: "running", ready: false, unmet: [] });
    await expect(reset(gateOf("cp1"))).rejects.toThrow(/10\.0\.0\.2 is running, not ready/);
    expect(done).toEqual([]);
  });

  it.each([
    ["reports errors", { errors: ["etcdserver: no leader"] }],
    ["has no leader", { leader: "0" }],
    ["is a learner", { learner: true }],
  ])("stays if the rest would have no quorum: two of three, of which one %s", async (_, change) => {
    const well = { version: "3.6.12", storageVersion: "3.6.0", leader: "cp4", learner: false, errors: [] };
    fleet.get("cp2").wiped = true;
    instead["cp3.etcdStatus"] = () => ({ memberId: "cp3", ...well, ...change });
    const controlPlanes = ["cp1", "cp3", "cp4"].map((name) => fleet.get(name).address);
    await expect(reset(gateOf("cp1", { controlPlanes }))).rejects.toThrow(/\[etcd-quorum\]/);
    expect(done).toEqual([]);
  });
});

describe("a machine without a configuration", () => {
  it.each([
    ["name", { hostname: "cp4", addresses: [] }],
    ["address", { hostname: "another", addresses: ["10.0.0.4"] }],
  ])("is sent none while etcd has a member of its %s", async (_, known) => {
    const others = ["cp1", "cp2", "cp3"].map((name) => ({
      id: name,
      hostname: name,
      addresses: [],
      learner: false,
    }));
    for (const { id } of others)
      instead[`${id}.etcdMembers`] = () => [...others, { id: "7", learner: false, ...known }];
    await expect(gateOf("cp4").applyFirstConfiguration("", call)).rejects.toBeInstanceOf(Refused);
    expect(done).toEqual([]);
    for (const { id } of others) instead[`${id}.etcdMembers`] = () => others;
    await gateOf("cp4").applyFirstConfiguration("", call);
    expect(done).toEqual(["applyFirstConfiguration cp4"]);
  });

  it.each([
    ["its own document", "apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: cp3\nauto: off\n"],
    ["machine.network", "machine: { network: { hostname: CP3 } }\n"],
  ])("is sent none with the name, in %s, of a node that is Ready", async (_, configuration) => {
    const first = (data: string, more: Partial<GateSite> = {}) =>
      gateOf("w1", more).applyFirstConfiguration(data, call);
    await expect(first(configuration)).rejects.toThrow(/join as cp3, .* Ready node of that name/);
    const later = { kubeconfig: undefined, kubeconfigForLock: async () => "in memory" };
    await expect(first(configuration, later)).rejects.toBeInstanceOf(Refused);
    expect(done).toEqual([]);
    await first("machine: {}\n");
    fleet.kubernetes.get("cp3").ready = false;
    await first(configuration);
    fleet.kubernetes.cluster.delete("cp3");
    await first(configuration);
    expect(done).toEqual(Array(3).fill("applyFirstConfiguration w1"));
  });
});

describe("a Node object", () => {
  const forget = (recorded = true): Promise<void> => gateOf("w1").deleteNode("w1", recorded);
  const isThere = (): boolean => fleet.kubernetes.cluster.has("w1");

  it("stays while its machine answers, even if it only refuses", async () => {
    await expect(forget()).rejects.toBeInstanceOf(Refused);
    fleet.kubernetes.get("w1").ready = false;
    await expect(forget()).rejects.toBeInstanceOf(Refused);
    instead["w1.machineStatus"] = () => {
      throw new TalosError("denied", "w1", "a call", "not authorized");
    };
    await expect(forget()).rejects.toBeInstanceOf(Refused);
    expect(isThere()).toBe(true);
  });

  it("stays while it is Ready and nothing answers, and while another machine may have its address", async () => {
    instead["w1.machineStatus"] = silent;
    await expect(forget()).rejects.toBeInstanceOf(Refused);
    delete instead["w1.machineStatus"];
    fleet.get("w1").wiped = true;
    await expect(forget(false)).rejects.toBeInstanceOf(Refused);
    expect(isThere()).toBe(true);
    await forget();
    expect(isThere()).toBe(false);
  });
});
