import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SimulatedNode } from "../../lab/node/node.ts";
import type { Properties } from "../../provider/secrets.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import {
  expectFailure,
  createHarness,
  inputsFor,
  shortTimeouts,
  type Harness,
} from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:RolloutPreflight::preflight";
/** What only an upgrade or a reboot changes. */
function touched(node: SimulatedNode): unknown {
  const { version, boots, installs, upgrades } = node.snapshot();
  return { version, boots: boots.length, installs: installs.length, upgrades };
}

const names = ["cp1", "cp2", "cp3", "w1", "w2"];

/** Inputs of a preflight over nodes of the cluster, as the component passes them. */
function preflightInputs(
  cluster: SimulatedCluster,
  shared: Properties = {},
  own: Properties = {},
): Properties {
  const nodes = names.map((name) => {
    const { node, role, talosVersion, image, extensions, services, files } = inputsFor(cluster, name);
    return { name, node, role, talosVersion, image, extensions, services, files, ...own };
  });
  const { schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds } = inputsFor(
    cluster,
    "cp1",
  );
  return { nodes, schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds, ...shared };
}

describe.each([
  ["v1.12.7", "127.48.1"],
  ["v1.13.7", "127.48.2"],
])("a preflight of five nodes on %s", (version, subnet) => {
  let cluster: SimulatedCluster;
  beforeAll(async () => {
    cluster = await SimulatedCluster.start({ subnet, version, controlPlanes: 3, workers: 2 });
  });
  afterAll(async () => cluster?.stop());

  it("lists the cluster's nodes once for checks of many nodes at the same moment", async () => {
    const kubernetes = new FakeKubernetes();
    for (const node of cluster.nodes) kubernetes.add(node.name, node.address);
    const list = kubernetes.nodes.bind(kubernetes);
    kubernetes.nodes = async () => {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      return list();
    };
    const inputs = preflightInputs(cluster, { kubeconfig: "of a test", drain: { enabled: true } });
    await createHarness(kubernetes).provider.check(urn, {}, inputs);
    expect(kubernetes.calls.get("nodes")).toBeLessThan(names.length);
  });

  /** The preflight must fail and leave every node unchanged. */
  async function refused(inputs: Properties, own: Harness = createHarness()): Promise<string> {
    const before = cluster.nodes.map(touched);
    const failed = await expectFailure(own.provider.create(urn, inputs));
    expect(failed.message).not.toContain(cluster.credentials.clientKey);
    expect(cluster.nodes.map(touched)).toEqual(before);
    for (const node of cluster.nodes) expect(node.snapshot()).toMatchObject({ version, upgrades: 0 });
    return failed.message;
  }

  /** Like `refused`, with faults on nodes. */
  async function refusedWith(
    faults: Record<string, string>,
    inputs = preflightInputs(cluster),
  ): Promise<string> {
    for (const [name, fault] of Object.entries(faults)) cluster.node(name).faults.set(fault);
    // Power loss and certificate changes take effect after a moment.
    await new Promise((resolve) => setTimeout(resolve, 400));
    const has = (...ids: string[]): boolean => Object.values(faults).some((fault) => ids.includes(fault));
    while (has("not-ready") && !Object.keys(faults).some((name) => !cluster.node(name).snapshot().ready))
      await new Promise((resolve) => setTimeout(resolve, 10));
    // Long timeouts for answers on a busy machine, but short ones where an answer never comes.
    const patient = has("node-down", "etcd-member-unhealthy") ? {} : { probeMs: 20_000, contactMs: 20_000 };
    try {
      return await refused(inputs, createHarness(undefined, patient));
    } finally {
      for (const node of cluster.nodes) node.faults.clear();
      await cluster.ready();
    }
  }

  /** A release whose image no node has pulled yet. */
  const elsewhere = (release: string): Properties =>
    preflightInputs(cluster, {}, { talosVersion: release, image: cluster.image(release) });

  it.each([
    ["w2", "not-ready", /^ {2}w2 \([\d.]+\), step "guard": the node is running, not ready/m, 1],
    ["cp3", "etcd-learner", /etcd member cp3 is a learner/, 3],
    ["cp2", "etcd-alarm-nospace", /etcd alarm NOSPACE at cp2/, 3],
    ["cp2", "etcd-member-unhealthy", /etcd on 127\.48\.\d\.12/, 3],
    ["cp1", "etcd-member-not-started", /was added and has never started/, 3],
    [
      "w1",
      "node-down",
      /^ {2}w1 \([\d.]+\), step "inspect": the Talos API at 127\.48\.\d\.21 cannot be used/m,
      1,
    ],
    ["w1", "permission-denied", /^ {2}w1 .*os:admin/m, 1],
    ["w2", "pull-not-found", /^ {2}w2 \([\d.]+\), step "pull": .*not found/m, 1],
    ["cp2", "pull-fails", /^ {2}cp2 \([\d.]+\), step "pull": .*503/m, 1],
  ])("%s with %s stops the whole rollout", async (name, fault, says, count) => {
    const message = await refusedWith(
      { [name]: fault },
      elsewhere(fault === "pull-fails" ? "v1.13.5" : "v1.13.6"),
    );
    expect(message).toMatch(new RegExp(`^the rollout .*: ${count} of 5 nodes .*\\[rollout-refused\\]`));
    expect(message).toMatch(says);
  });

  it("a control plane that is down stops the others too, with a reason for each", async () => {
    const message = await refusedWith({ cp3: "node-down" });
    expect(message).toMatch(/3 of 5 nodes/);
    expect(message).toMatch(
      /^ {2}cp1 \(\S+\), cp2 \(\S+\), step "guard": control plane 127\.48\.\d\.13 is down/m,
    );
    expect(message).toMatch(/^ {2}cp3 .*step "inspect": /m);
  });

  it("all problems of all nodes are reported at once, in the nodes' order", async () => {
    const message = await refusedWith({
      w2: "not-ready",
      w1: "permission-denied",
      cp2: "etcd-alarm-corrupt",
    });
    // The nodes of each problem, in the nodes' order.
    const concerned = [...message.matchAll(/^ {2}(.*?), step/gm)].map(([, nodes = ""]) =>
      nodes.match(/\w+(?= \()/g),
    );
    expect(concerned[0]).toEqual(["cp1", "cp2", "cp3"]);
    expect([...new Set(concerned.flat())]).toEqual(names);
    expect(message).toMatch(/^ {2}w1 .*os:admin/m);
    expect(message).toMatch(/^ {2}w2 .*not ready/m);
  });

  it("too large a step, a broken release and an unsupported Kubernetes are refused for every node", async () => {
    const far = await refused(preflightInputs(cluster, {}, { talosVersion: "v1.10.5" }));
    expect(far).toMatch(/5 of 5 nodes/);
    const bad = await refused(preflightInputs(cluster, {}, { talosVersion: "v1.13.8" }));
    expect(bad).toMatch(
      /5 of 5 nodes.*\n {2}cp1 .*, cp2 .*, cp3 .*, w1 .*, w2 .*: v1\.13\.8 .*\[release-broken\]/,
    );
    expect(bad.match(/\[release-broken\]/g)).toHaveLength(1);
    const newer = await refused(preflightInputs(cluster, {}, { talosVersion: "v1.15.0" }));
    expect(newer).toMatch(
      /v1\.15\.0 is newer than this version of the program supports.*\[release-unknown\]/,
    );
    const kubernetes = await refused(preflightInputs(cluster, { kubernetesVersion: "v1.20.0" }));
    expect(kubernetes).toMatch(/5 of 5 nodes[^]*step "guard": .*v?1\.20/);
  });

  it("a Kubernetes API that does not answer is reported before any pull", async () => {
    const kubernetes = new FakeKubernetes();
    kubernetes.down = "connect ECONNREFUSED";
    const message = await refused(
      preflightInputs(cluster, { kubeconfig: "of a test", drain: { enabled: true } }),
      createHarness(kubernetes),
    );
    expect(message).toMatch(
      /5 of 5 nodes[^]*w2 \(\S+\), step "guard": the Kubernetes API does not answer: connect ECONNREFUSED/,
    );
  });

  it("a cancel takes effect at once and reports that nothing was touched", async () => {
    cluster.node("w1").faults.set("pull-hangs");
    try {
      // Generous, for a busy machine. Without the cancel it would be a minute.
      const own = createHarness(undefined, { probeMs: 20_000, contactMs: 20_000, guardMs: 20_000 });
      const work = refused({ ...elsewhere("v1.13.4"), timeoutSeconds: 60 }, own);
      let ended = false;
      void work.finally(() => (ended = true));
      while (!ended && !own.status.some((line) => line.includes("pull")))
        await new Promise((r) => setTimeout(r, 10));
      const asked = performance.now();
      await own.provider.cancel();
      expect(await work).toMatch(
        /^cancelled before the rollout started \[cancelled\]\. .*upgraded or rebooted no node/,
      );
      expect(performance.now() - asked).toBeLessThan(10_000);
    } finally {
      cluster.node("w1").faults.clear();
    }
  });

  it("waits for a node that is rebooting, and for its services", async () => {
    const { provider } = createHarness(undefined, { serviceMs: 10_000 });
    cluster.node("cp2").powerCut("reboot");
    const { outs } = await provider.create(urn, preflightInputs(cluster, { prePull: false }));
    expect(outs["due"]).toEqual(names);
    expect(cluster.node("cp2").snapshot().upgrades).toBe(0);
  });

  it("without prePull nothing is pulled", async () => {
    cluster.node("w1").faults.set("pull-not-found");
    try {
      const { outs } = await createHarness().provider.create(
        urn,
        preflightInputs(cluster, { prePull: false }),
      );
      expect(outs["due"]).toEqual(names);
    } finally {
      cluster.node("w1").faults.clear();
    }
  });

  it("pulls the image on every due node, keeps credentials secret, and shows each warning once", async () => {
    const own = createHarness();
    const { id, outs } = await own.provider.create(urn, preflightInputs(cluster));
    expect(id).toBe("preflight");
    expect(outs["due"]).toEqual(names);
    const secret = { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270" };
    expect(outs["clientConfiguration"]).toMatchObject(secret);
    const read = await own.provider.read(id, urn, outs);
    expect(read.props["clientConfiguration"]).toMatchObject(secret);
    expect(read.inputs["clientConfiguration"]).toMatchObject(secret);
    expect(read.inputs).not.toHaveProperty("due");
    for (const text of [...own.status, ...own.info, ...own.warnings])
      expect(text).not.toContain(cluster.credentials.clientKey);
    // One line per step at any cluster size. A node gets its own line when it is waited for.
    const steps = ["[1/11] inspect · 5 nodes", "[3/11] guard · 5 nodes", "[4/11] pull · 5 nodes"];
    expect(own.status.filter((line) => line.startsWith("["))).toEqual(steps);
    expect(new Set(own.warnings).size).toBe(own.warnings.length);
    for (const warning of own.warnings) expect(warning).toMatch(/^cp1, cp2, cp3, w1, w2: /);
    // The image is in every node's store, and nothing else changed.
    for (const node of cluster.nodes) expect(Object.keys(node.disk.images).join()).toContain(":v1.13.9");
  });

  it("works after a refusal, as a create and as an update", async () => {
    const inputs = preflightInputs(cluster);
    expect(await refusedWith({ w2: "not-ready" }, inputs)).toMatch(/w2/);
    const { provider } = createHarness();
    const { id, outs } = await provider.create(urn, inputs);
    expect(await provider.update(id, urn, outs, inputs)).toMatchObject({ outs: { due: names } });
  });

  it("skips a node that already runs the image, even if the registry fails", async () => {
    const upgrade = "urn:pulumi:dev::talos-iscsi::talos-node:index:NodeUpgrade::node";
    await createHarness().provider.create(upgrade, inputsFor(cluster, "w1"));
    const boots = cluster.node("w1").snapshot().boots.length;
    cluster.node("w1").faults.set("pull-not-found");
    try {
      const own = createHarness(undefined, { serviceMs: shortTimeouts.serviceMs });
      const { outs } = await own.provider.create(urn, preflightInputs(cluster));
      expect(outs["due"]).toEqual(["cp1", "cp2", "cp3", "w2"]);
      expect(own.status).toContain("[4/11] pull · 4 nodes");
      expect(own.status.filter((line) => line.startsWith("w1: "))).toEqual([]);
    } finally {
      cluster.node("w1").faults.clear();
    }
    expect(cluster.node("w1").snapshot().boots).toHaveLength(boots);
  });

  it("reports wrong inputs with the node's index in the list", async () => {
    const { provider } = createHarness();
    const inputs = preflightInputs(cluster, { timeoutSeconds: -1 });
    const nodes = inputs["nodes"] as Properties[];
    nodes[1] = { ...nodes[1], talosVersion: "1.13" };
    nodes[3] = Object.fromEntries(Object.entries(nodes[3] ?? {}).filter(([key]) => key !== "name"));
    nodes.push({ ...nodes[4], name: "w3", endpoint: "" });
    const result = await provider.check(urn, {}, inputs);
    const failures = result.failures;
    const checked: unknown = result.inputs;
    expect(failures?.map(({ property }) => property)).toEqual([
      "timeoutSeconds",
      "nodes[1].talosVersion",
      "nodes[3].name",
      "nodes[5].endpoint",
    ]);
    expect(failures?.[1]?.reason).toMatch(/^\[nodes\[1\]\.talosVersion\] /);
    expect(JSON.stringify(failures)).not.toContain(cluster.credentials.clientKey);
    expect((checked as Properties)["clientConfiguration"]).toMatchObject({
      "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
    });
    expect((await provider.check(urn, {}, { ...inputs, nodes: [] })).failures).toMatchObject([
      { property: "nodes" },
    ]);
  });
});
