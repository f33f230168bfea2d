import { afterEach, describe, expect, it } from "vitest";
import { KubernetesError } from "../../provider/kubernetes.ts";
import type { Properties } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { expectFailure, createHarness, inputsFor, type Harness } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

// Nodes that are removed from the settings: what happens to their machines, and what is refused.

const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:ClusterMembership::members";
let cluster: SimulatedCluster;
let kubernetes: FakeKubernetes;

afterEach(async () => {
  await cluster?.stop();
});

async function start(subnet: string, controlPlanes: number, workers: number): Promise<void> {
  cluster = await SimulatedCluster.start({ subnet, controlPlanes, workers, version: "v1.13.7" });
  kubernetes = new FakeKubernetes();
  for (const { name, address } of cluster.nodes) kubernetes.add(name, address);
}

/** Inputs that list all nodes except these. */
function without(names: string[], shared: Properties = {}, own: Record<string, Properties> = {}): Properties {
  const nodes = cluster.nodes
    .filter(({ name }) => !names.includes(name))
    .map((node) => ({ name: node.name, node: node.address, role: node.identity().role, ...own[node.name] }));
  return {
    nodes,
    onRemove: "reset",
    clientConfiguration: { ...cluster.credentials },
    kubeconfig: "of a test",
    drain: { enabled: true, timeoutSeconds: 0.6 },
    timeoutSeconds: 8,
    ...shared,
  };
}

/** The state of a stack that lists all nodes. */
async function deployed(own: Harness, inputs = without([])): Promise<Properties> {
  return (await own.provider.create(urn, inputs)).outs;
}

const listed = (state: Properties | undefined): string[] => Object.keys(state?.["members"] as object);

const untouched = { stage: "running", reboots: 0 };

async function remove(own: Harness, state: Properties, inputs: Properties): Promise<Properties> {
  await own.provider.diff("membership", urn, state, inputs);
  return (await own.provider.update("membership", urn, state, inputs)).outs;
}

/** Both the preview and an `up` that skips the preview refuse, and nothing happens. */
async function refusedTwice(inputs: Properties): Promise<string> {
  const own = createHarness(kubernetes);
  const state = await deployed(own);
  const preview = await expectFailure(own.provider.diff("membership", urn, state, inputs));
  const up = await expectFailure(own.provider.update("membership", urn, state, inputs));
  for (const node of cluster.nodes.filter(({ boot }) => boot !== undefined))
    expect(node.snapshot()).toMatchObject(untouched);
  expect(kubernetes.log.filter((line) => line.startsWith("delete"))).toEqual([]);
  expect(up.message.split(":")[0]).toBe(preview.message.split(":")[0]);
  return preview.message;
}

describe("a worker", () => {
  it("with reset is drained, wiped, put into maintenance mode and deleted from Kubernetes", async () => {
    await start("127.44.61", 1, 2);
    kubernetes.pod("w2", "web").pod("w2", "logs", { owner: "DaemonSet" });
    const own = createHarness(kubernetes);
    const state = await deployed(own);
    const before = cluster.node("w1").snapshot();
    const after = await remove(own, state, without(["w2"]));

    expect(own.warnings[0]).toMatch(/^w2 \(127\.44\.61\.22\) leaves the settings, and its machine is reset/);
    expect(kubernetes.log).toEqual(["cordon w2", "evict web", "delete w2"]);
    expect(cluster.node("w2").snapshot()).toMatchObject({ stage: "maintenance", version: "v1.13.7" });
    expect(cluster.node("w2").disk.config).toBeUndefined();
    expect(cluster.node("w1").snapshot().boots).toEqual(before.boots);
    expect(listed(after)).toEqual(["cp1", "w1"]);
    // The next deployment has nothing left to do.
    expect(await own.provider.diff("membership", urn, after, without(["w2"]))).toMatchObject({
      changes: false,
    });
  });

  it("is contacted once in a preview, and its removal is reported once", async () => {
    await start("127.44.80", 1, 2);
    const asked: string[] = [];
    const connect: typeof connectActor = (connection) => {
      const real = connectActor(connection);
      return new Proxy(real, {
        get: (target, key) => {
          if (key === "machineStatus") asked.push(connection.node ?? connection.endpoint);
          const value: unknown = Reflect.get(target, key);
          return typeof value === "function" ? (value.bind(target) as unknown) : value;
        },
      });
    };
    const own = createHarness(kubernetes, {}, connect);
    const state = await deployed(own);
    const checked = await own.provider.check(urn, state, { ...without(["w2"]), preview: true });
    await own.provider.diff("membership", urn, state, checked.inputs as Properties, state);
    const ofW2 = asked.filter((address) => address === "127.44.80.22");
    expect(ofW2).toHaveLength(1);
    expect(own.warnings.filter((text) => text.startsWith("w2 "))).toHaveLength(1);
  });

  it("with keep is left alone, and the warning says what is left to do", async () => {
    await start("127.44.62", 1, 2);
    const own = createHarness(kubernetes);
    const keep = { w2: { onRemove: "keep" } };
    const state = await deployed(own, without([], {}, keep));
    const after = await remove(own, state, without(["w2"]));
    expect(own.warnings.at(-1)).toMatch(
      /^w2 .*is left as it is \(onRemove: keep\).*`talosctl reset --nodes 127\.44\.62\.22 --graceful`, then `kubectl delete node w2`\.$/,
    );
    expect(kubernetes.log).toEqual([]);
    expect(cluster.node("w2").snapshot()).toMatchObject(untouched);
    expect(listed(after)).toEqual(["cp1", "w1"]);
  });

  it("whose pods may not leave stays and is uncordoned; the next deployment resumes", async () => {
    await start("127.44.63", 1, 2);
    kubernetes.pod("w2", "db-0", { owner: "StatefulSet" });
    kubernetes.blocked.set("db-0", "The disruption budget db needs 1 healthy pods and has 1 currently");
    const own = createHarness(kubernetes);
    const state = await deployed(own);
    const failed = await expectFailure(own.provider.update("membership", urn, state, without(["w2"])));
    expect(failed.message).toMatch(
      /^w2 \(127\.44\.63\.22\), removal, step "drain": 1 pod had not left.*The disruption budget db.*The machine was not reset\. It was uncordoned\.$/,
    );
    expect(kubernetes.get("w2")).toMatchObject({ unschedulable: false, annotations: {} });
    expect(cluster.node("w2").snapshot()).toMatchObject(untouched);
    expect(listed(failed.properties)).toEqual(["cp1", "w1", "w2"]);

    kubernetes.blocked.clear();
    const after = await remove(own, failed.properties ?? {}, without(["w2"]));
    expect(cluster.node("w2").snapshot().stage).toBe("maintenance");
    expect(listed(after)).toEqual(["cp1", "w1"]);
  });

  it("with a volume that does not leave is not reset; without a drain, the preview lists its volumes", async () => {
    await start("127.44.73", 1, 2);
    kubernetes.storage.attach("w2", "pv-a");
    const own = createHarness(kubernetes);
    const state = await deployed(own);
    const failed = await expectFailure(own.provider.update("membership", urn, state, without(["w2"])));
    expect(failed.message).toMatch(
      /^w2 \(127\.44\.73\.22\), removal, step "drain": volumes had not left after 1 s: volume pv-a \(claim default\/claim-of-pv-a/,
    );
    expect(cluster.node("w2").snapshot()).toMatchObject(untouched);
    expect(kubernetes.get("w2").unschedulable).toBe(false);

    const rash = createHarness(kubernetes);
    const undrained = { drain: { enabled: false } };
    await rash.provider.diff("membership", urn, state, without(["w2"], undrained));
    expect(rash.warnings[0]).toMatch(
      /\(onRemove: reset\): it loses its configuration.* It is not drained and goes down with its volumes: volume pv-a/,
    );
    kubernetes.storage.detach("pv-a");
    const after = await remove(own, failed.properties ?? state, without(["w2"]));
    expect(listed(after)).toEqual(["cp1", "w1"]);
  });

  it("that cannot be reached is removed only with keep", async () => {
    await start("127.44.64", 1, 2);
    await cluster.node("w2").stop();
    const message = await refusedTwice(without(["w2"]));
    expect(message).toMatch(
      /^w2 \(127\.44\.64\.22\), removal, step "look": the Talos API at 127\.44\.64\.22 cannot be used: .*set cluster\.onRemove: keep.*`kubectl delete node w2`/,
    );
    const own = createHarness(kubernetes);
    const after = await remove(own, await deployed(own), without(["w2"], { onRemove: "keep" }));
    expect(listed(after)).toEqual(["cp1", "w1"]);
  });

  it("that a killed run reset is only deleted from Kubernetes", async () => {
    await start("127.44.65", 1, 2);
    const own = createHarness(kubernetes);
    const state = await deployed(own);
    const killed = own.provider.update("membership", urn, state, without(["w2"]));
    while (cluster.node("w2").snapshot().stage !== "resetting") await new Promise((r) => setTimeout(r, 5));
    await own.provider.cancel();
    const { message, properties } = await expectFailure(killed);
    expect(message).toMatch(
      /step "wait": cancelled; steps left: wait, forget \[cancelled\]\. The machine was asked to reset\./,
    );
    expect(listed(properties)).toEqual(["cp1", "w1", "w2"]);
    expect(kubernetes.cluster.has("w2")).toBe(true);

    // As after a kill: the state is the old one. The Node object records that a reset was requested.
    while (cluster.node("w2").snapshot().stage !== "maintenance") await new Promise((r) => setTimeout(r, 5));
    const again = createHarness(kubernetes);
    const after = await remove(again, state, without(["w2"]));
    expect(again.info.join("\n")).toContain("was reset by an earlier run");
    expect(cluster.node("w2").snapshot()).toMatchObject({ stage: "maintenance" });
    expect(kubernetes.cluster.has("w2")).toBe(false);
    expect(listed(after)).toEqual(["cp1", "w1"]);
  });

  it("that was reset is recorded in the state if deleting its Node object failed", async () => {
    await start("127.44.68", 1, 2);
    const own = createHarness(kubernetes);
    const state = await deployed(own);
    kubernetes.deleteNode = async () => {
      throw new KubernetesError("forbidden", 403);
    };
    const failed = await expectFailure(own.provider.update("membership", urn, state, without(["w2"])));
    expect(failed.message).toMatch(
      /step "forget": Kubernetes: forbidden \[kubernetes-\w+\]\. The machine was reset;/,
    );
    expect(failed.properties?.["members"]).toMatchObject({ w2: { wasReset: true } });
    kubernetes.cluster.get("w2")!.annotations = {};
    Reflect.deleteProperty(kubernetes, "deleteNode");
    const after = await remove(createHarness(kubernetes), failed.properties ?? {}, without(["w2"]));
    expect(kubernetes.cluster.has("w2")).toBe(false);
    expect(listed(after)).toEqual(["cp1", "w1"]);
  });

  it("that cannot be verified is refused, with the cause and both options; its Node object stays", async () => {
    await start("127.44.69", 1, 2);
    const other = await SimulatedCluster.start({ subnet: "127.44.70", controlPlanes: 1, workers: 1 });
    try {
      // What answers at the address of w2 has a certificate of another CA.
      const stranger = (): Harness =>
        createHarness(kubernetes, {}, (connection) =>
          connectActor(
            connection.endpoint === "127.44.69.22"
              ? { ...connection, endpoint: "127.44.70.21", node: "127.44.70.21" }
              : connection,
          ),
        );
      const refused = async (own: Harness): Promise<string> => {
        const state = await deployed(own);
        const preview = await expectFailure(own.provider.diff("membership", urn, state, without(["w2"])));
        const up = await expectFailure(own.provider.update("membership", urn, state, without(["w2"])));
        expect(up.message).toBe(preview.message);
        expect(listed(up.properties)).toEqual(["cp1", "w1", "w2"]);
        expect(kubernetes.log).toEqual([]);
        expect(up.message).toMatch(
          /To reset it: .*To leave it as it is: .*onRemove: keep.*kubectl delete node w2/,
        );
        return up.message;
      };
      expect(await refused(stranger())).toMatch(
        /reports w2 as Ready: the cluster's CA was .*rotated \[machine-unverified\]/,
      );
      kubernetes.get("w2").ready = false;
      expect(await refused(stranger())).toMatch(/w2 as not Ready: another machine .*\[machine-unverified\]/);
      for (const node of [...cluster.nodes, ...other.nodes]) expect(node.snapshot()).toMatchObject(untouched);

      const machine = cluster.node("w2");
      delete machine.disk.config;
      await connectActor({ endpoint: machine.address, credentials: cluster.credentials }).reboot();
      while (machine.snapshot().stage !== "maintenance") await new Promise((r) => setTimeout(r, 20));
      expect(await refused(createHarness(kubernetes))).toMatch(
        /is in maintenance mode: .*\[machine-unverified\]/,
      );
    } finally {
      await other.stop();
    }
  });

  it("with another name or another address is not a removal", async () => {
    await start("127.44.66", 1, 2);
    const own = createHarness(kubernetes);
    const state = await deployed(own);
    const renamed = without([]);
    const nodes = renamed["nodes"] as { name: string; node: string }[];
    Object.assign(nodes.find(({ name }) => name === "w2") ?? {}, { name: "worker-2" });
    Object.assign(nodes.find(({ name }) => name === "w1") ?? {}, { node: "w1.example.org" });
    await remove(own, state, renamed);
    expect(own.warnings.at(-1)).toMatch(/^w1 .*now has another address in the settings/);
    for (const node of cluster.nodes) expect(node.snapshot()).toMatchObject(untouched);
  });

  it("is not reset if it is the same machine as a remaining node under another address", async () => {
    await start("127.44.67", 1, 1);
    // The DNS record that this test needs.
    const resolved = (host: string): string => (host === "w1.example.org" ? "127.44.67.21" : host);
    const own = createHarness(kubernetes, {}, ({ endpoint, node = endpoint, ...rest }) =>
      connectActor({ ...rest, endpoint: resolved(endpoint), node: resolved(node) }),
    );
    const both = without([]);
    const alias = { name: "worker-1", node: "w1.example.org", role: "worker" };
    const renamed = { ...without(["w1"]), nodes: [...(without(["w1"])["nodes"] as object[]), alias] };
    const { message } = await expectFailure(
      own.provider.update("membership", urn, await deployed(own, both), renamed),
    );
    expect(message).toMatch(
      /^w1 \(127\.44\.67\.21\), removal, step "guard": it is the same machine as worker-1 \(w1\.example\.org\), which stays \[same-machine\]\. Nothing was reset/,
    );
    expect(cluster.node("w1").snapshot()).toMatchObject(untouched);
  });
});

it("a machine that says it is a node that stays is not reset, whatever its address", async () => {
  await start("127.44.81", 1, 2);
  const [first, second] = ["w1", "w2"].map((name) => cluster.node(name).address);
  // Two machines whose DHCP leases were swapped.
  const swapped = { w1: { node: second }, w2: { node: first } };
  const own = createHarness(kubernetes, { probeMs: 10_000, guardMs: 10_000, contactMs: 10_000 });
  const state = await deployed(own, without([], {}, swapped));
  const left = without(["w2"], {}, swapped);
  const preview = await expectFailure(own.provider.diff("membership", urn, state, left));
  const up = await expectFailure(own.provider.update("membership", urn, state, left));
  for (const { message } of [preview, up])
    expect(message).toMatch(
      /^w2 \(127\.44\.81\.21\), removal, step "guard": the machine at 127\.44\.81\.21 .* w1 \(127\.44\.81\.22\).*\[other-node\]/,
    );
  for (const node of cluster.nodes) expect(node.snapshot()).toMatchObject(untouched);
  expect(kubernetes.log).toEqual([]);
});

describe("a control plane", () => {
  it("with reset leaves etcd, and the others keep their quorum", async () => {
    await start("127.44.71", 3, 0);
    const own = createHarness(kubernetes);
    const after = await remove(own, await deployed(own), without(["cp1"]));
    expect(own.warnings[0]).toMatch(/^cp1 .*leaves etcd/);
    expect(cluster.node("cp1").snapshot()).toMatchObject({ stage: "maintenance" });
    expect(cluster.nodes.filter(({ disk }) => disk.etcd !== undefined).map(({ name }) => name)).toEqual([
      "cp2",
      "cp3",
    ]);
    expect(kubernetes.log).toEqual(["cordon cp1", "delete cp1"]);
    expect(listed(after)).toEqual(["cp2", "cp3"]);
  });

  it("leaves together with a worker, and first: for the worker's check it would be an unknown etcd member", async () => {
    await start("127.44.79", 4, 2);
    const own = createHarness(kubernetes);
    const state = await remove(own, await deployed(own), without(["cp4", "w2"]));
    expect(listed(state)).toEqual(["cp1", "cp2", "cp3", "w1"]);
    for (const name of ["cp4", "w2"])
      expect(cluster.node(name).snapshot()).toMatchObject({ stage: "maintenance" });
    expect(kubernetes.log.filter((line) => line.startsWith("delete"))).toEqual(["delete cp4", "delete w2"]);
  });

  it("that leaves does not stop the upgrade of the others in the preview", async () => {
    await start("127.44.79", 3, 0);
    const own = createHarness(kubernetes);
    const state = await deployed(own);
    const fewer = without(["cp3"]);
    const nodes = (fewer["nodes"] as { name: string }[]).map(({ name }) => {
      const { node, role, talosVersion, image, extensions } = inputsFor(cluster, name);
      return { name, node, role, talosVersion, image, extensions };
    });
    const { schematicId, clientConfiguration, drain } = inputsFor(cluster, "cp1");
    const controlPlanes = ["127.44.79.11", "127.44.79.12"];
    const rollout = { nodes, schematicId, clientConfiguration, drain, controlPlanes };
    const preflight = urn.replace("ClusterMembership", "RolloutPreflight");
    const preview = createHarness(kubernetes);
    await preview.provider.check(preflight, {}, rollout);
    expect(preview.warnings.join("\n")).toMatch(/etcd member cp3 .*\[etcd-unknown-member\]/);

    const again = createHarness(kubernetes);
    await again.provider.diff("membership", urn, state, fewer);
    await again.provider.check(preflight, {}, rollout);
    expect(again.warnings.join("\n")).not.toMatch(/the rollout would be refused right now/);
    expect(again.warnings.join("\n")).toMatch(/cp3 .*\[etcd-unknown-member\].*unless this deployment/);
    // The two that remain cannot be upgraded without quorum. This is reported before the third is gone.
    await again.provider.update("membership", urn, state, fewer);
    const later = createHarness(kubernetes);
    await later.provider.check(preflight, {}, rollout);
    expect(later.warnings.join("\n")).toMatch(/1 of 2 members .*\[etcd-quorum\]/);
  });

  it("stays if the remaining members would have no quorum", async () => {
    await start("127.44.72", 3, 0);
    cluster.node("cp2").faults.set("etcd-member-unhealthy");
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await refusedTwice(without(["cp3"]))).toMatch(
      /^cp3 \(127\.44\.72\.13\), removal, step "guard": .*without cp3.*: 1 of the 2 .*, 2 needed .*\[etcd-quorum\]/,
    );
  });

  it("stays while a member has never started, or is a learner", async () => {
    await start("127.44.73", 3, 0);
    cluster.node("cp1").faults.set("etcd-member-not-started");
    expect(await refusedTwice(without(["cp3"]))).toMatch(/\[etcd-member-not-started\]/);
    cluster.node("cp1").faults.clear();
    cluster.node("cp2").faults.set("etcd-learner");
    expect(await refusedTwice(without(["cp3"]))).toMatch(/cp2 .*\[etcd-learner\]/);
  });

  it("cannot leave together with another one, or as the last one", async () => {
    await start("127.44.74", 3, 1);
    expect(await refusedTwice(without(["cp2", "cp3"]))).toMatch(
      /^cp2 .*, cp3 .*: control planes leave one at a time.*\[control-planes-one-at-a-time\]/,
    );
    const last = await refusedTwice(without(["cp1", "cp2", "cp3"]));
    expect(last).toMatch(/\[last-control-plane\]/);
    // No control plane is left, so the message suggests no command.
    expect(last).not.toMatch(/--nodes `|\n/);
  });

  it("with keep causes a warning that it remains an etcd member", async () => {
    await start("127.44.75", 3, 0);
    const own = createHarness(kubernetes);
    await remove(own, await deployed(own), without(["cp3"], { onRemove: "keep" }));
    expect(own.warnings.at(-1)).toMatch(
      /^cp3 .*It remains a member of etcd, which stops the next rollout\..*`talosctl etcd remove-member <ID> --nodes 127\./,
    );
    expect(cluster.node("cp3").snapshot()).toMatchObject(untouched);
  });
});

describe("the whole stack", () => {
  it("can be destroyed without touching any machine", async () => {
    await start("127.44.76", 1, 1);
    const own = createHarness(kubernetes);
    await deployed(own);
    await own.provider.delete();
    for (const node of cluster.nodes) expect(node.snapshot()).toMatchObject(untouched);
    expect(kubernetes.log).toEqual([]);
  });

  it("is refreshed from the state without revealing a secret", async () => {
    await start("127.44.77", 1, 1);
    const own = createHarness(kubernetes);
    const state = await deployed(own);
    const read = await own.provider.read("membership", urn, state);
    expect(read.props).toEqual(state);
    expect(JSON.stringify(read.inputs)).toContain("1b47061264138c4ac30d75fd1eb44270");
    expect(read.inputs).not.toHaveProperty("members");
  });

  it("names inputs that it cannot use", async () => {
    await start("127.44.78", 1, 0);
    const { failures } = await createHarness().provider.check(
      urn,
      {},
      {
        nodes: [{ name: "cp1", node: "10.0.0.11:50000", role: "master", onRemove: "wipe" }],
        onRemove: "destroy",
        strange: 1,
      },
    );
    // The engine would print the value of a secret property, so the reason names the property instead.
    expect(failures?.[0]?.reason).toContain("[clientConfiguration]");
    expect(failures?.map(({ property }) => property)).toEqual([
      "",
      "onRemove",
      "strange",
      "nodes[0].node",
      "nodes[0].role",
      "nodes[0].onRemove",
    ]);
  });
});
