import { afterEach, describe, expect, it } from "vitest";
import type { UpgradeTimeline } from "../../components/nodeUpgrade.ts";
import { realClock, type Clock } from "../../provider/clock.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { expectFailure, createHarness, inputsFor, urn } from "./nodeUpgradeHarness.ts";
import { iscsiSchematicId, SimulatedCluster } from "./simulatedCluster.ts";

let cluster: SimulatedCluster;
afterEach(async () => {
  await cluster.stop();
});

describe("upgrading a node to the wanted image", () => {
  it.each([
    ["v1.12.7", "v1.13.9", "legacy"],
    ["v1.13.7", "v1.13.9", "lifecycle"],
    ["v1.7.5", "v1.8.4", "legacy"],
  ])("from %s to %s with the API of its release (%s)", async (from, to, via) => {
    cluster = await SimulatedCluster.start({ subnet: "127.44.1", version: from });
    const { provider, info, warnings } = createHarness();
    const { outs } = await provider.create(urn, inputsFor(cluster, "cp1", { talosVersion: to }));

    const snapshot = cluster.node("cp1").snapshot();
    expect(snapshot).toMatchObject({ version: to, schematic: iscsiSchematicId, upgrades: 1, reboots: 1 });
    expect(snapshot.installs.map((install) => install.via)).toEqual([via]);
    expect(snapshot.dataWipes).toBe(0);
    expect(outs).toMatchObject({
      runningVersion: to,
      runningSchematic: iscsiSchematicId,
      installedExtensions: ["iscsi-tools"],
      kubernetesNode: "cp1",
      initiatorName: snapshot.initiatorName,
    });
    // On a slow machine, the summary also has the duration of a step.
    expect(info).toHaveLength(1);
    expect(info[0]).toContain(`cp1 (127.44.1.11) upgraded: runs ${to} with schematic c9078f941996…`);
    expect(warnings).toEqual([]);
  });

  it("changes the schematic of a node on the right release", async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.44.1", version: "v1.13.9" });
    await createHarness().provider.create(urn, inputsFor(cluster, "cp1"));
    expect(cluster.node("cp1").snapshot()).toMatchObject({ schematic: iscsiSchematicId, reboots: 1 });
  });

  it("never reboots a node that already runs the image", async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.44.1" });
    const inputs = inputsFor(cluster, "cp1");
    await createHarness().provider.create(urn, inputs);
    const { provider, info, status } = createHarness();
    await provider.create(urn, inputs);
    await provider.update("127.44.1.11", urn, inputs, { ...inputs, timeoutSeconds: 9 });

    expect(cluster.node("cp1").snapshot()).toMatchObject({ upgrades: 1, reboots: 1 });
    expect(info[0]).toBe("cp1 (127.44.1.11) runs v1.13.9 with schematic c9078f941996…");
    expect(status.map((line) => line.split(" · ")[0])).toEqual(
      ["inspect", "settled?", "verify", "uncordon", "inspect", "settled?", "verify", "uncordon"].map(
        (step) => expect.stringMatching(new RegExp(`^\\[\\d+/11\\] ${step.replace("?", "\\?")}$`)) as string,
      ),
    );
  });

  it("shows one status line per step", async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.44.1" });
    const { provider, status } = createHarness();
    await provider.create(urn, inputsFor(cluster, "cp1"));
    expect(status.map((line) => line.split(" · ")[0])).toEqual([
      "[1/11] inspect",
      "[2/11] settled?",
      "[3/11] guard",
      "[4/11] pull",
      "[6/11] gate",
      "[7/11] drain",
      "[5/11] install",
      "[8/11] reboot",
      "[9/11] verify",
      "[10/11] uncordon",
    ]);
  });

  it("waits at most a second while the node itself is idle", async () => {
    const timings = { pullSeconds: 0.5, installSeconds: 1, rebootSeconds: 0.7, bootSeconds: 0.8 };
    cluster = await SimulatedCluster.start({ subnet: "127.44.1", version: "v1.13.7", timings });
    const node = cluster.node("cp1");
    // Requested waits count, not the time that a busy machine takes.
    let [idleMs, waits] = [0, 0];
    const clock: Clock = {
      now: () => realClock.now(),
      sleep: (ms, signal) => {
        const { stage, ready } = node.snapshot();
        if (stage === "running" && ready) idleMs += ms;
        waits += 1;
        return realClock.sleep(ms, signal);
      },
    };
    await createHarness(undefined, {}, connectActor, clock).provider.create(urn, inputsFor(cluster, "cp1"));
    expect(node.snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1 });
    expect(waits).toBeGreaterThan(0);
    expect(idleMs).toBeLessThanOrEqual(1_000);
  });

  it("reaches a node through a control plane that forwards", async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.44.1", workers: 1 });
    const { provider } = createHarness();
    await provider.create(urn, inputsFor(cluster, "w1", { endpoint: "127.44.1.11" }));
    expect(cluster.node("w1").snapshot().version).toBe("v1.13.9");
    expect(cluster.node("cp1").snapshot().version).toBe("v1.12.7");
  });

  it("waits for a node in the middle of an upgrade, and does not request a second one", async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.44.1", timings: { installSeconds: 0.6 } });
    const inputs = inputsFor(cluster, "cp1");
    const first = createHarness();
    const killed = first.provider.create(urn, inputs).catch(() => undefined);
    while (cluster.node("cp1").snapshot().stage !== "upgrading") await new Promise((r) => setTimeout(r, 10));
    await first.provider.cancel();
    await killed;

    await createHarness().provider.create(urn, inputs);
    expect(cluster.node("cp1").snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1, reboots: 1 });
  });
});

describe("the timeline of the last upgrade", () => {
  it("is kept through verifications and refreshes, and a failed upgrade gets its own", async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.44.1", version: "v1.13.7", workers: 1 });
    const inputs = inputsFor(cluster, "w1");
    const { provider } = createHarness();
    const { id, outs } = await provider.create(urn, inputs);
    const { timeline } = outs as { timeline: UpgradeTimeline };
    expect(timeline).toMatchObject({
      from: { version: "v1.13.7" },
      to: { version: "v1.13.9", schematicId: iscsiSchematicId, image: inputs["image"] },
      ended: "upgraded",
    });
    expect(timeline.steps.map(({ name }) => name)).toEqual([
      "inspect",
      "settled?",
      "guard",
      "pull",
      "install",
      "gate",
      "drain",
      "reboot",
      "verify",
      "uncordon",
    ]);
    expect(timeline.steps.every(({ seconds }) => seconds >= 0 && seconds < 60)).toBe(true);

    const verified = await provider.update(id, urn, outs, { ...inputs, timeoutSeconds: 9 });
    expect(verified.outs).toMatchObject({ timeline });
    const refreshed = await provider.read(id, urn, verified.outs);
    expect(refreshed.props).toMatchObject({ timeline });
    expect(refreshed.inputs).not.toHaveProperty("timeline");

    cluster.node("w1").faults.set("install-exits-nonzero");
    const back = inputsFor(cluster, "w1", { talosVersion: "v1.13.7" });
    const failed = await expectFailure(provider.update(id, urn, refreshed.props, back));
    expect(failed.properties).toMatchObject({
      runningVersion: "v1.13.9",
      timeline: {
        from: { version: "v1.13.9" },
        to: { version: "v1.13.7" },
        ended: "failed",
        failedStep: "install",
        reason: failed.message,
      },
    });
    await cluster.node("w1").stop();
    const unreachable = await provider.read(id, urn, failed.properties ?? {});
    expect(unreachable.props).toMatchObject({ timeline: { ended: "failed" } });
  });
});

describe("refresh and update", () => {
  it("shows a node's drift as changed inputs, and an update fixes it", async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.44.1", workers: 1 });
    const inputs = inputsFor(cluster, "w1");
    const { provider } = createHarness();
    const { id, outs } = await provider.create(urn, inputs);

    const node = cluster.node("w1");
    node.faults.set("iscsid-not-running");
    const drifted = await provider.read(id, urn, outs);
    expect(drifted.inputs).toMatchObject({ services: [], talosVersion: "v1.13.9", files: inputs["files"] });
    expect(drifted.props).toMatchObject({ services: [] });
    expect((drifted.props as { runningServices: string[] }).runningServices).not.toContain("ext-iscsid");

    node.faults.clear();
    const mended = await provider.update(id, urn, drifted.props, inputs);
    expect(mended.outs).toMatchObject({ services: ["ext-iscsid"] });
    expect(node.snapshot().reboots).toBe(1);
  });

  it("upgrades a node that only lacks what the new image brings, and no other node that is not ready", async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.44.1", workers: 1 });
    const { provider } = createHarness(undefined, { guardMs: 300 });
    const { id, outs } = await provider.create(urn, inputsFor(cluster, "w1"));
    const node = cluster.node("w1");
    const wanted = inputsFor(cluster, "w1", { talosVersion: "v1.13.7" });
    node.faults.set("iscsid-not-running");
    node.faults.set("kubelet-unhealthy");
    while (node.snapshot().ready) await new Promise((r) => setTimeout(r, 10));
    const refused = await expectFailure(provider.update(id, urn, outs, wanted));
    expect(refused.message).toMatch(
      /step "guard": the node is running, not ready: services \(.*kubelet not healthy/,
    );

    node.faults.clear("kubelet-unhealthy");
    while (node.snapshot().unmet.some(({ reason }) => reason.includes("kubelet")))
      await new Promise((r) => setTimeout(r, 10));
    const upgrade = provider.update(id, urn, outs, wanted);
    while (node.snapshot().stage === "running") await new Promise((r) => setTimeout(r, 10));
    node.faults.clear();
    await upgrade;
    expect(node.snapshot()).toMatchObject({ version: "v1.13.7", upgrades: 2 });
  });

  it("starts a service that someone has stopped", async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.44.1", workers: 1 });
    const inputs = inputsFor(cluster, "w1");
    const { provider, info } = createHarness();
    const { id, outs } = await provider.create(urn, inputs);
    const { connectActor } = await import("../../talos/api/actor.ts");
    const talos = connectActor({ endpoint: "127.44.1.21", credentials: cluster.credentials });
    await talos.stopService("ext-iscsid");
    talos.close();

    await provider.update(id, urn, outs, inputs);
    expect(info).toContain("ext-iscsid was stopped; started it");
    expect(cluster.node("w1").snapshot().services).toContainEqual({
      id: "ext-iscsid",
      state: "Running",
      healthy: null,
    });
  });

  it("shows the running release and schematic instead of the wanted ones", async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.44.1" });
    const { provider } = createHarness();
    const state = { ...inputsFor(cluster, "cp1"), runningVersion: "v1.13.9" };
    const read = await provider.read("127.44.1.11", urn, state);
    expect(read.inputs).toMatchObject({ talosVersion: "v1.12.7", schematicId: "", extensions: [] });
    expect(read.inputs).not.toHaveProperty("runningVersion");
    expect(read.props).toMatchObject({ runningVersion: "v1.12.7" });
  });

  it("keeps the state of a node that cannot be reached, and warns", async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.44.1" });
    const inputs = inputsFor(cluster, "cp1");
    const { provider, warnings } = createHarness();
    const { id, outs } = await provider.create(urn, inputs);
    await cluster.node("cp1").stop();
    const read = await provider.read(id, urn, outs);
    expect(read).toMatchObject({ id, props: outs });
    expect(warnings).toEqual([
      expect.stringMatching(/^cp1 \(127\.44\.1\.11\) could not be read; .*\[node-unreachable\]/),
    ]);
  });
});
