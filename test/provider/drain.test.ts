import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cordonAnnotation, installAnnotation } from "../../provider/kubernetes.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { expectFailure, createHarness, inputsFor, urn } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

let cluster: SimulatedCluster;
let kubernetes: FakeKubernetes;
const drained = { drain: { enabled: true, timeoutSeconds: 0.6 }, kubeconfig: "of a test" };

beforeEach(async () => {
  cluster = await SimulatedCluster.start({
    subnet: "127.44.5",
    version: "v1.13.7",
    workers: 1,
    runtime: {
      // The kubelet reports the boot that it runs in.
      kubeletUp: async ({ name }) => {
        const node = kubernetes?.cluster.get(name);
        if (node !== undefined)
          Object.assign(node, { ready: true, bootId: cluster.node(name).snapshot().bootId });
      },
      kubeletDown: async ({ name }) => {
        const node = kubernetes?.cluster.get(name);
        if (node !== undefined)
          Object.assign(node, { ready: false, reason: "Kubelet stopped posting node status." });
      },
    },
  });
  kubernetes = new FakeKubernetes().add("cp1", "127.44.5.11").add("w1", "127.44.5.21");
});
afterEach(async () => {
  await cluster.stop();
});

describe("drain", () => {
  it("evicts what a drain evicts, and uncordons the node at the end", async () => {
    kubernetes
      .pod("w1", "web")
      .pod("w1", "logs", { owner: "DaemonSet" })
      .pod("w1", "static", { mirror: true, owner: "Node" })
      .pod("w1", "done", { finished: true, owner: "Job" })
      .pod("w1", "bare", { owner: undefined })
      .pod("cp1", "elsewhere");
    const { provider, warnings } = createHarness(kubernetes);
    const { outs } = await provider.create(urn, inputsFor(cluster, "w1", drained));

    expect(kubernetes.log).toEqual(["cordon w1", "evict web", "evict bare", "uncordon w1"]);
    const { seconds, cordonedSeconds } = outs["timeline"] as { seconds: number; cordonedSeconds: number };
    expect(cordonedSeconds).toBeGreaterThan(0);
    expect(cordonedSeconds).toBeLessThan(seconds);
    expect(warnings).toEqual(["evicting pods that no controller will recreate: default/bare"]);
    expect(kubernetes.get("w1")).toMatchObject({ unschedulable: false, annotations: {} });
  });

  it("names the pods that would not leave and why, and uncordons the node without a reboot", async () => {
    kubernetes.pod("w1", "web").pod("w1", "db-0", { owner: "StatefulSet" });
    kubernetes.blocked.set("db-0", "The disruption budget db needs 1 healthy pods and has 1 currently");
    const { provider } = createHarness(kubernetes);
    const { message, id } = await expectFailure(provider.create(urn, inputsFor(cluster, "w1", drained)));

    expect(message).toContain(
      'w1 (127.44.5.21), step "drain": 1 pod had not left after 1 s: default/db-0 (The disruption budget db needs 1 healthy pods and has 1 currently) [drain-pods].',
    );
    expect(message).toMatch(/PodDisruptionBudgets.*It was uncordoned\.$/);
    expect(id).toBe("127.44.5.21");
    expect(kubernetes.get("w1")).toMatchObject({ unschedulable: false, annotations: {} });
    expect(cluster.node("w1").snapshot()).toMatchObject({ version: "v1.13.7", upgrades: 1, reboots: 0 });
  });

  it("waits for a budget to allow it", async () => {
    kubernetes.pod("w1", "web");
    kubernetes.blocked.set("web", "not now");
    setTimeout(() => kubernetes.blocked.clear(), 300);
    await createHarness(kubernetes).provider.create(urn, inputsFor(cluster, "w1", drained));
    expect(kubernetes.log).toEqual(["cordon w1", "evict web", "uncordon w1"]);
  });

  it("keeps a cordon that someone else has set", async () => {
    kubernetes.get("w1").unschedulable = true;
    await createHarness(kubernetes).provider.create(urn, inputsFor(cluster, "w1", drained));
    expect(cluster.node("w1").snapshot().version).toBe("v1.13.9");
    expect(kubernetes.get("w1").unschedulable).toBe(true);
  });

  it("does not drain the only node of its cluster", async () => {
    kubernetes.cluster.delete("cp1");
    kubernetes.pod("w1", "web");
    const { provider, info } = createHarness(kubernetes);
    await provider.create(urn, inputsFor(cluster, "w1", drained));
    expect(kubernetes.log).toEqual([]);
    expect(info[0]).toMatch(/^the only node of its cluster: not drained/);
  });

  it("stops before anything is disturbed while the Kubernetes API does not answer", async () => {
    kubernetes.down = "connect ECONNREFUSED";
    const { message } = await expectFailure(
      createHarness(kubernetes).provider.create(urn, inputsFor(cluster, "w1", drained)),
    );
    expect(message).toMatch(/step "guard": the Kubernetes API does not answer: connect ECONNREFUSED/);
    expect(cluster.node("w1").snapshot()).toMatchObject({ upgrades: 0, reboots: 0 });
  });

  it("reports that the node stays cordoned when the API goes away during the drain", async () => {
    kubernetes.pod("w1", "web");
    kubernetes.blocked.set("web", "not now");
    const { provider } = createHarness(kubernetes);
    const work = expectFailure(provider.create(urn, inputsFor(cluster, "w1", drained)));
    while (!kubernetes.get("w1").unschedulable) await new Promise((r) => setTimeout(r, 5));
    kubernetes.down = "connect ECONNREFUSED";
    const { message } = await work;
    expect(message).toMatch(
      /step "drain": the Kubernetes API did not answer.*It stays cordoned until a later/,
    );
    // Capacity does not help here.
    expect(message).not.toMatch(/PodDisruptionBudgets|replicas/);

    kubernetes.down = undefined;
    kubernetes.blocked.clear();
    await createHarness(kubernetes).provider.create(urn, inputsFor(cluster, "w1", drained));
    expect(kubernetes.get("w1")).toMatchObject({ unschedulable: false, annotations: {} });
  });

  it("refuses a Kubernetes release that the target does not run, based on the cluster and not on the settings", async () => {
    kubernetes.gitVersion = "v1.29.4";
    const inputs = inputsFor(cluster, "w1", { ...drained, kubernetesVersion: "v1.35.4" });
    const { message } = await expectFailure(createHarness(kubernetes).provider.create(urn, inputs));
    expect(message).toMatch(/step "guard": Talos v1\.13\.9 runs Kubernetes v1\.31 to v1\.36, not v1\.29\.4/);
  });

  it("uncordons only after Kubernetes reports Ready in the new boot", async () => {
    const { provider } = createHarness(kubernetes);
    const before = cluster.node("w1").snapshot().bootId;
    Object.assign(kubernetes.get("w1"), { bootId: before });
    await provider.create(urn, inputsFor(cluster, "w1", drained));
    expect(kubernetes.get("w1").bootId).not.toBe(before);
  });
});

describe("after a run was killed", () => {
  it("the next run removes our cordon", async () => {
    const inputs = inputsFor(cluster, "w1", drained);
    await createHarness(kubernetes).provider.create(urn, inputs);
    Object.assign(kubernetes.get("w1"), {
      unschedulable: true,
      annotations: { [cordonAnnotation]: "talos-node" },
    });
    await createHarness(kubernetes).provider.create(urn, inputs);
    expect(kubernetes.get("w1")).toMatchObject({ unschedulable: false, annotations: {} });
    expect(cluster.node("w1").snapshot()).toMatchObject({ upgrades: 1, reboots: 1 });
  });

  it("a cordon of ours is lifted when the guard does not let the upgrade begin", async () => {
    Object.assign(kubernetes.get("w1"), {
      unschedulable: true,
      annotations: { [cordonAnnotation]: "talos-node" },
    });
    const inputs = inputsFor(cluster, "w1", { ...drained, talosVersion: "v1.11.6" });
    const { message } = await expectFailure(createHarness(kubernetes).provider.create(urn, inputs));
    expect(message).toMatch(/step "guard".*It was uncordoned\.$/);
    expect(kubernetes.get("w1").unschedulable).toBe(false);
  });

  it("an image that was installed and not booted is not installed again", async () => {
    const inputs = inputsFor(cluster, "w1", drained);
    const node = cluster.node("w1");
    const first = createHarness(kubernetes);
    const stopped = expectFailure(first.provider.create(urn, inputs));
    while (node.snapshot().upgrades === 0) await new Promise((r) => setTimeout(r, 1));
    await first.provider.cancel();
    const { message } = await stopped;
    expect(message).toMatch(
      /step "gate": cancelled; steps left: gate, drain, reboot, verify, uncordon, storage \[cancelled\]\. .*It has not rebooted, and runs v1\.13\.7 .*The new image is installed and starts with the next reboot/,
    );
    expect(node.snapshot()).toMatchObject({ upgrades: 1, reboots: 0 });
    expect(kubernetes.get("w1").unschedulable).toBe(false);

    await createHarness(kubernetes).provider.create(urn, inputs);
    expect(node.snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1, reboots: 1 });
    expect(kubernetes.get("w1")).toMatchObject({ unschedulable: false, annotations: {} });
  });

  it("a running installer is waited for, and no second one starts", async () => {
    const inputs = inputsFor(cluster, "w1", drained);
    const node = cluster.node("w1");
    const image = String(inputs["image"]);
    const { connectActor } = await import("../../talos/api/actor.ts");
    const killed = connectActor({ endpoint: "127.44.5.21", credentials: cluster.credentials });
    const name = await killed.pull(image, () => undefined);
    kubernetes.get("w1").annotations = {
      [cordonAnnotation]: "talos-node",
      [installAnnotation]: `begun ${node.snapshot().bootId} ${image}`,
    };
    kubernetes.get("w1").unschedulable = true;
    void killed.install(name, () => undefined).catch(() => undefined);
    await new Promise((r) => setTimeout(r, 30));
    killed.close();

    await createHarness(kubernetes).provider.create(urn, inputs);
    expect(node.snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1, reboots: 1 });
    expect(kubernetes.get("w1").unschedulable).toBe(false);
  });
});

describe("an image that was installed, blocked by a drain, and is no longer wanted", () => {
  it("is reported: the node runs the wanted image, but the next reboot would start the other one", async () => {
    const back = { ...drained, talosVersion: "v1.13.7" };
    const settled = inputsFor(cluster, "w1", back);
    await createHarness(kubernetes).provider.create(urn, settled);
    const [before] = [cluster.node("w1").snapshot()];
    kubernetes.pod("w1", "web");
    kubernetes.blocked.set("web", "not now");
    const forward = inputsFor(cluster, "w1", drained);
    await expectFailure(createHarness(kubernetes).provider.create(urn, forward));
    const { message } = await expectFailure(createHarness(kubernetes).provider.create(urn, settled));
    expect(message).toMatch(
      /step "settled\?": .*\S+@sha256:\S+ was installed in this boot .*\[install-pending\]/,
    );
    expect(cluster.node("w1").snapshot().reboots).toBe(before.reboots);

    // Follow the message: reboot the node. The next run brings it back to the wanted image.
    kubernetes.blocked.clear();
    const { connectActor } = await import("../../talos/api/actor.ts");
    const somebody = connectActor({ endpoint: "127.44.5.21", credentials: cluster.credentials });
    await somebody.reboot();
    somebody.close();
    while (cluster.node("w1").snapshot().version !== "v1.13.9") await new Promise((r) => setTimeout(r, 5));
    await createHarness(kubernetes).provider.create(urn, settled);
    expect(cluster.node("w1").snapshot().version).toBe("v1.13.7");
  });
});

describe("an unexpected error of the reboot call", () => {
  const failing = (before: boolean) => {
    return async () => {
      const { connectActor } = await import("../../talos/api/actor.ts");
      return (connection: Parameters<typeof connectActor>[0]) => {
        const actor = connectActor(connection);
        const reboot = actor.reboot.bind(actor);
        actor.reboot = async (call) => {
          if (!before) await reboot(call);
          throw new RangeError("nobody foresaw this");
        };
        return actor;
      };
    };
  };

  it("before the request got out: the node keeps running and is uncordoned", async () => {
    const { provider } = createHarness(kubernetes, {}, await failing(true)());
    const { message } = await expectFailure(provider.create(urn, inputsFor(cluster, "w1", drained)));
    expect(message).toMatch(/step "reboot": an unexpected error: nobody foresaw this.*It was uncordoned\.$/s);
    expect(cluster.node("w1").snapshot().reboots).toBe(0);
    expect(kubernetes.get("w1")).toMatchObject({ unschedulable: false });
  });

  it("after it had: the node stays cordoned until the next run has verified it", async () => {
    const { provider } = createHarness(kubernetes, {}, await failing(false)());
    const { message } = await expectFailure(provider.create(urn, inputsFor(cluster, "w1", drained)));
    expect(message).toMatch(/an unexpected error: nobody foresaw this.*It stays cordoned until a later/s);
    await createHarness(kubernetes).provider.create(urn, inputsFor(cluster, "w1", drained));
    expect(cluster.node("w1").snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1, reboots: 1 });
    expect(kubernetes.get("w1")).toMatchObject({ unschedulable: false, annotations: {} });
  });
});

describe("a node that Kubernetes does not know", () => {
  it("is not rebooted, whose pods would go down with it, unless drains are off", async () => {
    kubernetes.cluster.delete("w1");
    kubernetes.add("other", "10.9.9.9");
    const inputs = inputsFor(cluster, "w1", drained);
    const { message } = await expectFailure(createHarness(kubernetes).provider.create(urn, inputs));
    expect(message).toMatch(
      /step "guard": Kubernetes has no node with the name w1 or the address 127\.44\.5\.21/,
    );
    expect(cluster.node("w1").snapshot()).toMatchObject({ upgrades: 0, reboots: 0 });
  });
});

describe("cancel", () => {
  it("takes effect within a second, reports what is left undone, and uncordons the node", async () => {
    kubernetes.pod("w1", "web");
    kubernetes.blocked.set("web", "not now");
    const { provider } = createHarness(kubernetes);
    const work = expectFailure(
      provider.create(
        urn,
        inputsFor(cluster, "w1", { ...drained, drain: { enabled: true, timeoutSeconds: 60 } }),
      ),
    );
    while (!kubernetes.get("w1").unschedulable) await new Promise((r) => setTimeout(r, 5));
    const asked = performance.now();
    await provider.cancel();
    const { message } = await work;
    expect(performance.now() - asked).toBeLessThan(1_000);
    expect(message).toBe(
      'w1 (127.44.5.21), step "drain": cancelled; steps left: drain, reboot, verify, uncordon, storage [cancelled]. ' +
        "The next `pulumi up` continues from here. It has not rebooted, and runs v1.13.7 with no schematic. The new image is installed and starts with the next reboot, whatever causes it. It was uncordoned.",
    );
    expect(kubernetes.get("w1")).toMatchObject({ unschedulable: false, annotations: {} });
  });

  it("lets a running reboot continue, and the next run finishes", async () => {
    const first = createHarness(kubernetes);
    const inputs = inputsFor(cluster, "w1", drained);
    const work = expectFailure(first.provider.create(urn, inputs));
    while (cluster.node("w1").snapshot().powered) await new Promise((r) => setTimeout(r, 5));
    const asked = performance.now();
    await first.provider.cancel();
    const { message } = await work;
    expect(performance.now() - asked).toBeLessThan(1_000);
    expect(message).toMatch(
      /step "reboot": cancelled; steps left: reboot, verify, uncordon, storage \[cancelled\]\. .*(It may be rebooting into the new image|It has (not )?rebooted)/,
    );
    expect(message).toMatch(/It stays cordoned until a later `pulumi up` has verified it\.$/);

    await createHarness(kubernetes).provider.create(urn, inputs);
    expect(kubernetes.get("w1")).toMatchObject({ unschedulable: false, annotations: {} });
    expect(cluster.node("w1").snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1, reboots: 1 });
  });
});
