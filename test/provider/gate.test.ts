import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import type { FaultId } from "../../lab/node/machine/faults.ts";
import { realClock } from "../../provider/clock.ts";
import { SealedClients } from "../../provider/gate/sealedClients.ts";
import type { Gate } from "../../provider/gate/gate.ts";
import { Refused } from "../../provider/gate/refused.ts";
import { nodeUpgradeInputs } from "../../provider/inputs.ts";
import { resetAnnotation } from "../../provider/kubernetes.ts";
import type { Properties } from "../../provider/secrets.ts";
import { Session } from "../../provider/session.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { expectFailure, createHarness, inputsFor, shortTimeouts, urn } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

// What each check of the gate sees. test/night/mutants.json names the test for each check.

const configurationUrn = "urn:pulumi:dev::talos-iscsi::talos-node:index:NodeConfiguration::config";
const membershipUrn = "urn:pulumi:dev::talos-iscsi::talos-node:index:ClusterMembership::members";
const drained = { drain: { enabled: true, timeoutSeconds: 2 }, kubeconfig: "of a test" };

let cluster: SimulatedCluster;
let kubernetes: FakeKubernetes;

async function start(subnet: string, controlPlanes: number): Promise<void> {
  kubernetes = new FakeKubernetes();
  cluster = await SimulatedCluster.start({
    subnet,
    version: "v1.13.7",
    controlPlanes,
    workers: 1,
    runtime: {
      kubeletUp: async ({ name }) => {
        const node = kubernetes.cluster.get(name);
        if (node !== undefined) Object.assign(node, { ready: true });
      },
    },
  });
  for (const { name, address } of cluster.nodes) kubernetes.add(name, address);
}
afterEach(async () => cluster?.stop());

function addresses(except: string[] = []): string[] {
  return cluster.nodes
    .filter((node) => node.identity().role === "controlplane" && !except.includes(node.name))
    .map(({ address }) => address);
}

/** The node's current configuration with one more sysctl. */
function changed(name: string, more: Properties = {}): Properties {
  const node = cluster.node(name);
  const config = parse(node.config?.text ?? "") as { machine: Record<string, unknown> };
  config.machine["sysctls"] = { "vm.nr_hugepages": "1024" };
  const machineConfiguration = stringify(config);
  return {
    name,
    node: node.address,
    role: node.identity().role,
    controlPlanes: addresses(),
    clientConfiguration: { ...cluster.credentials },
    machineConfiguration,
    configuration: "redacted",
    patches: ['machine:\n  sysctls:\n    vm.nr_hugepages: "1024"\n'],
    acceptDropped: [],
    contract: "v1.12",
    timeoutSeconds: 0.5,
    ...more,
  };
}

async function configure(name: string, more: Properties = {}): Promise<void> {
  await createHarness().provider.create(configurationUrn, changed(name, more));
}

const appliesOf = (name: string): number => cluster.node(name).snapshot().appliedConfigs.length;

/** Takes the node off the list, with onRemove: reset. */
async function remove(name: string): Promise<void> {
  const own = createHarness(kubernetes);
  const all = cluster.nodes.map((node) => ({
    name: node.name,
    node: node.address,
    role: node.identity().role,
  }));
  const inputs = {
    nodes: all,
    onRemove: "reset",
    clientConfiguration: { ...cluster.credentials },
    ...drained,
    timeoutSeconds: 8,
  };
  const { outs } = await own.provider.create(membershipUrn, inputs);
  const nodes = all.filter((node) => node.name !== name);
  await own.provider.update("membership", membershipUrn, outs, { ...inputs, nodes });
}

describe("etcd, before a configuration is applied", () => {
  beforeEach(() => start("127.44.171", 3));

  it.each<[FaultId, string, RegExp]>([
    ["etcd-alarm-corrupt", "cp2", /etcd alarm CORRUPT at cp2/],
    ["etcd-alarm-nospace", "cp1", /etcd alarm NOSPACE at cp1/],
    ["etcd-member-not-started", "cp3", /etcd member 192\.0\.2\.1.* was added and has never started/],
    ["etcd-learner", "cp3", /etcd member cp3 is a learner/],
  ])("%s at %s: no node is configured, control plane or worker", async (fault, at, expected) => {
    cluster.node(at).faults.set(fault);
    for (const name of ["cp1", "w1"]) {
      const { message } = await expectFailure(configure(name));
      expect(message).toMatch(expected);
      expect(message).toMatch(/was not applied/);
      expect(appliesOf(name)).toBe(0);
    }
    cluster.node(at).faults.clear();
    await configure("cp1");
    await configure("w1");
    expect([appliesOf("cp1"), appliesOf("w1")]).toEqual([1, 1]);
  });

  it("has to keep a majority without the node, and a member on an unknown machine counts", async () => {
    const two = { controlPlanes: addresses(["cp3"]) };
    cluster.node("cp3").faults.set("node-down");
    const { message } = await expectFailure(configure("cp1", two));
    expect(message).toMatch(/cp3 .*\[etcd-unknown-member\]/);
    expect(message).toMatch(/1 of 3 members .*2 needed \[etcd-quorum\]/);
    expect(appliesOf("cp1")).toBe(0);
    // A worker takes no vote with it: two of three are a majority.
    await configure("w1", two);
    expect(appliesOf("w1")).toBe(1);
  });
});

describe("two control planes", () => {
  beforeEach(() => start("127.44.172", 2));

  it("are configured while the other one is healthy; neither is upgraded", async () => {
    await configure("cp1");
    expect(appliesOf("cp1")).toBe(1);
    cluster.node("cp1").faults.set("etcd-member-unhealthy");
    const { message } = await expectFailure(configure("cp2"));
    expect(message).toMatch(/was not applied/);
    expect(appliesOf("cp2")).toBe(0);
    cluster.node("cp1").faults.clear();
    const refused = await expectFailure(createHarness().provider.create(urn, inputsFor(cluster, "cp2")));
    expect(refused.message).toMatch(/A cluster of two control planes cannot lose one/);
  });
});

describe("the control planes, before a worker is disturbed", () => {
  beforeEach(() => start("127.44.173", 3));

  it.each<[FaultId, string, RegExp]>([
    ["etcd-alarm-nospace", "cp2", /etcd alarm NOSPACE at cp2/],
    ["etcd-member-unhealthy", "cp3", /etcd on 127\.44\.173\.13 .*\[etcd-no-leader\]/],
    ["not-ready", "cp1", /control plane 127\.44\.173\.11 is running, not ready/],
    ["node-down", "cp2", /control plane 127\.44\.173\.12 is down/],
  ])("%s at %s: the worker is neither upgraded nor removed", async (fault, at, expected) => {
    cluster.node(at).faults.set(fault);
    while (fault === "not-ready" && cluster.node(at).snapshot().ready)
      await new Promise((resolve) => setTimeout(resolve, 5));
    const inputs = inputsFor(cluster, "w1", drained);
    const { message } = await expectFailure(createHarness(kubernetes).provider.create(urn, inputs));
    expect(message).toMatch(expected);
    expect((await expectFailure(remove("w1"))).message).toMatch(expected);
    expect(cluster.node("w1").snapshot()).toMatchObject({ stage: "running", upgrades: 0, reboots: 0 });
    expect(kubernetes.get("w1")).toMatchObject({ unschedulable: false, annotations: {} });
    expect(kubernetes.log.filter((line) => line.startsWith("delete"))).toEqual([]);
  });

  it("are checked again after the drain: one that fails meanwhile keeps the worker from its reboot", async () => {
    kubernetes.pod("w1", "web");
    kubernetes.after = (entry) => {
      if (entry === "evict web") cluster.node("cp2").faults.set("node-down");
    };
    const inputs = inputsFor(cluster, "w1", drained);
    const { message } = await expectFailure(createHarness(kubernetes).provider.create(urn, inputs));
    expect(message).toMatch(/step "reboot": control plane 127\.44\.173\.12 is down.*It was uncordoned\.$/s);
    expect(cluster.node("w1").snapshot()).toMatchObject({ upgrades: 1, reboots: 0 });
    expect(kubernetes.get("w1")).toMatchObject({ unschedulable: false });
  });

  it("one that fails while the installer runs keeps another from its drain and reboot", async () => {
    const peer = cluster.node("cp2");
    const talos = (connection: Parameters<typeof connectActor>[0]) => {
      const actor = connectActor(connection);
      const install = actor.install.bind(actor);
      actor.install = async (...args) => {
        const code = await install(...args);
        peer.faults.set("node-down");
        return code;
      };
      return actor;
    };
    const inputs = inputsFor(cluster, "cp1", drained);
    const { message } = await expectFailure(
      createHarness(kubernetes, {}, talos).provider.create(urn, inputs),
    );
    expect(message).toMatch(/step "gate": control plane 127\.44\.173\.12 is down/);
    expect(cluster.node("cp1").snapshot()).toMatchObject({ upgrades: 1, reboots: 0 });
    expect(kubernetes.log).toEqual([]);
  });
});

describe("a worker in the state", () => {
  beforeEach(() => start("127.44.178", 1));

  it("causes no diff if control planes come or go, or if its state predates them", async () => {
    const { provider } = createHarness(kubernetes);
    const { id, outs } = await provider.create(
      urn,
      inputsFor(cluster, "w1", { ...drained, controlPlanes: [] }),
    );
    const news = inputsFor(cluster, "w1", drained);
    expect(await provider.diff(id, urn, outs, news)).toEqual({ changes: false });
    const due = await provider.diff(id, urn, outs, { ...news, talosVersion: "v1.13.8" });
    expect(due).toMatchObject({ changes: true, changed: ["talosVersion"] });
    const cp1 = inputsFor(cluster, "cp1", drained);
    const made = await provider.create(urn, cp1);
    const others = await provider.diff(made.id, urn, made.outs, { ...cp1, controlPlanes: ["10.0.0.1"] });
    expect(others).toMatchObject({ changes: true, changed: ["controlPlanes"] });
  });
});

describe("the cluster lock", () => {
  beforeEach(() => start("127.44.177", 3));

  it("that another run takes over keeps the node from its reboot", async () => {
    kubernetes.pod("cp1", "web");
    kubernetes.after = (entry) => {
      if (entry === "evict web") kubernetes.lease = { holder: "ci-7 0123456789ab 42 one", version: "99" };
    };
    const inputs = inputsFor(cluster, "cp1", drained);
    const { message } = await expectFailure(createHarness(kubernetes).provider.create(urn, inputs));
    expect(message).toMatch(/step "reboot": another run .*\[cluster-busy\].*It was uncordoned\.$/s);
    expect(cluster.node("cp1").snapshot()).toMatchObject({ upgrades: 1, reboots: 0 });
  });

  it("is released at the end, and a worker takes none", async () => {
    await createHarness(kubernetes).provider.create(urn, inputsFor(cluster, "w1", drained));
    expect(kubernetes.lease).toBeUndefined();
    await createHarness(kubernetes).provider.create(urn, inputsFor(cluster, "cp1", drained));
    expect(kubernetes.lease).toMatchObject({ holder: undefined });
  });
});

describe("a control plane that leaves for good", () => {
  beforeEach(() => start("127.44.174", 4));

  it("stays while etcd has an alarm", async () => {
    cluster.node("cp2").faults.set("etcd-alarm-corrupt");
    expect((await expectFailure(remove("cp4"))).message).toMatch(/etcd alarm CORRUPT at cp2/);
    expect(cluster.node("cp4").snapshot()).toMatchObject({ stage: "running" });
    cluster.node("cp2").faults.clear();
    await remove("cp4");
    expect(cluster.node("cp4").snapshot()).toMatchObject({ stage: "maintenance" });
  });

  it("stays while another one is not ready, even with enough votes", async () => {
    cluster.node("cp1").faults.set("not-ready");
    while (cluster.node("cp1").snapshot().ready) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await expectFailure(remove("cp4"))).message).toMatch(
      /control plane 127\.44\.174\.11 is running, not ready/,
    );
    expect(cluster.node("cp4").snapshot()).toMatchObject({ stage: "running" });
  });
});

describe("a Node object", () => {
  beforeEach(() => start("127.44.175", 1));

  async function forget(recorded = false): Promise<void> {
    const inputs = nodeUpgradeInputs(inputsFor(cluster, "w1", drained));
    const talos = async () => connectActor;
    const session = await Session.open(
      {
        talos,
        connectKubernetes: async () => kubernetes,
        acting: new SealedClients({ talos, kubernetes: async () => kubernetes }),
        clock: realClock,
        timeouts: shortTimeouts,
        advised: new Set(),
        statusOf: () => ({ status: () => undefined, info: () => undefined, warn: () => undefined }),
      },
      membershipUrn,
      inputs,
      new AbortController().signal,
    );
    const gate: Gate = session.context.gate;
    try {
      await gate.deleteNode("w1", recorded);
    } finally {
      session.close();
    }
  }

  it("stays while its machine answers as a cluster member, even if the state says it was reset", async () => {
    await expect(forget(true)).rejects.toThrow(
      /127\.44\.175\.21 still answers as a member.*\[node-still-member\]/,
    );
    await expect(forget(true)).rejects.toBeInstanceOf(Refused);
    expect(kubernetes.cluster.has("w1")).toBe(true);
  });

  it("of a machine that is down goes only when it is not Ready", async () => {
    await cluster.node("w1").stop();
    await expect(forget()).rejects.toThrow(/w1 as Ready.*\[node-still-ready\]/);
    kubernetes.get("w1").ready = false;
    await forget();
    expect(kubernetes.cluster.has("w1")).toBe(false);
  });

  it("of a machine in maintenance mode goes only if this program reset it", async () => {
    const node = cluster.node("w1");
    const actor = connectActor({ endpoint: node.address, credentials: cluster.credentials });
    await actor.reset();
    while (node.snapshot().stage !== "maintenance") await new Promise((resolve) => setTimeout(resolve, 10));
    actor.close();
    kubernetes.get("w1").ready = false;
    await expect(forget()).rejects.toThrow(/\[machine-unverified\]/);
    kubernetes.get("w1").annotations[resetAnnotation] = "talos-node";
    await forget();
    expect(kubernetes.cluster.has("w1")).toBe(false);
  });
});

describe("a control plane in maintenance mode whose state is lost", () => {
  beforeEach(() => start("127.44.176", 3));

  it("is sent nothing while etcd has its member: removing that member is the consent", async () => {
    const inputs = changed("cp3");
    const node = cluster.node("cp3");
    const { etcd } = node.disk;
    const actor = connectActor({ endpoint: node.address, credentials: cluster.credentials });
    await actor.reset();
    actor.close();
    while (node.snapshot().stage !== "maintenance") await new Promise((resolve) => setTimeout(resolve, 10));
    // A reinstalled machine does not leave etcd by itself.
    if (etcd !== undefined) node.disk.etcd = etcd;
    const { message } = await expectFailure(createHarness().provider.create(configurationUrn, inputs));
    expect(message).toMatch(/cp3 .*etcd still has its member \d+: .*\[etcd-former-member\]/);
    expect(message).toMatch(/Nothing was sent to it\. .*`talosctl etcd remove-member [0-9a-f]+ --nodes 127/);
    expect(appliesOf("cp3")).toBe(0);

    delete node.disk.etcd;
    await createHarness().provider.create(configurationUrn, inputs);
    expect(appliesOf("cp3")).toBe(1);
  });
});
