import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import type { SimulatedNode } from "../../lab/node/node.ts";
import type { Properties } from "../../provider/secrets.ts";
import { createHarness, expectFailure, inputsFor } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster, waitingMachine } from "./simulatedCluster.ts";

// A control plane that joins: its etcd must fit the one that runs, whenever the machine is switched on and whatever is on its disk.

const urn = (type: string): string => `urn:pulumi:dev::talos-iscsi::talos-node:index:${type}::cp2`;
let cluster: SimulatedCluster;
let machine: SimulatedNode;

beforeEach(async () => {
  cluster = await SimulatedCluster.start({ subnet: "127.48.62", version: "v1.12.7" });
  machine = waitingMachine(cluster, "cp2", "127.48.62.12");
});
afterEach(async () => {
  await machine.stop();
  await cluster.stop();
});

/** A machine that was reset, or boots from a disk image: Talos is on its disk. */
function withTalosOnDisk(version: string): void {
  const running = cluster.node("cp1").disk.slots.A;
  if (running === undefined) throw new Error("cp1 runs nothing");
  machine.disk.slots.A = { ...running, version };
  machine.disk.active = "A";
}

/** cp2's configuration, which installs this release. */
function configuration(talosVersion: string): Properties {
  const config = parse(cluster.node("cp1").config?.text ?? "") as { machine: Record<string, Properties> };
  config.machine["network"] = { hostname: "cp2" };
  config.machine["install"] = { ...config.machine["install"], image: cluster.image(talosVersion) };
  return {
    ...{ name: "cp2", node: machine.address, role: "controlplane" },
    controlPlanes: [cluster.node("cp1").address, machine.address],
    clientConfiguration: { ...cluster.credentials },
    machineConfiguration: stringify(config),
    ...{ patches: [], acceptDropped: [], contract: "v1.12", timeoutSeconds: 3, checkHardware: "off" },
  };
}

/** All nodes, as in a RolloutReadiness. */
function readiness(talosVersion: string): Properties {
  const { schematicId, clientConfiguration, drain, timeoutSeconds } = inputsFor(cluster, "cp1");
  const { role, node, image, extensions } = inputsFor(cluster, "cp1", { talosVersion });
  const cp1 = { role, node, talosVersion, image, extensions };
  const controlPlanes = [String(node), machine.address];
  const nodes = { cp1, cp2: { ...cp1, node: machine.address } };
  return { schematicId, clientConfiguration, drain, timeoutSeconds, controlPlanes, nodes };
}

const harness = () => createHarness(undefined, { probeMs: 5_000, certificateMs: 3_000 });
const told = /cp2 \(127\.48\.62\.12\).*it would join etcd before .*\[etcd-/;

describe("a new control plane that nothing has looked at", () => {
  it("gets no configuration whose etcd could not join: it was off before, or an earlier run stopped", async () => {
    const own = harness();
    // 1.9 has etcd 3.5, and the data has version 3.6.
    const work = expectFailure(own.provider.create(urn("NodeConfiguration"), configuration("v1.9.6")));
    await machine.start();
    const { message } = await work;
    expect(message).toMatch(told);
    expect(message).toMatch(
      /\[etcd-downgrade\].*Nothing was sent to it\..*Add cp2 in a `pulumi up` of its own/,
    );
    expect(machine.snapshot()).toMatchObject({ stage: "maintenance", appliedConfigs: [] });
    await own.provider.create(urn("NodeConfiguration"), configuration("v1.12.11"));
    expect(machine.snapshot().appliedConfigs).toHaveLength(1);
  });
});

describe("a new control plane with Talos on its disk", () => {
  it("joins with that release, not with the one in its configuration, if it is too old", async () => {
    withTalosOnDisk("v1.10.9");
    await machine.start();
    const disk =
      /cp2 .*Talos v1\.10\.9 is on its disk, and its first configuration installs nothing: it would join etcd .*\[etcd-downgrade\].*wipe the disk/;
    const inputs = readiness("v1.12.11");
    const refused = await expectFailure(harness().provider.create(urn("RolloutReadiness"), inputs));
    expect(refused.message).toMatch(disk);
    const preview = harness();
    await preview.provider.check(urn("RolloutPreflight"), {}, inputs);
    expect(preview.warnings.filter((line) => line.includes("cp2"))).toEqual([expect.stringMatching(disk)]);
    const config = configuration("v1.12.11");
    const { message } = await expectFailure(harness().provider.create(urn("NodeConfiguration"), config));
    expect(message).toMatch(disk);
    expect(machine.snapshot()).toMatchObject({ stage: "maintenance", appliedConfigs: [] });
  });

  it("joins with that release if the one in its configuration could not", async () => {
    withTalosOnDisk("v1.12.7");
    await machine.start();
    const inputs = readiness("v1.9.6");
    const { cp1 } = inputs["nodes"] as Properties;
    const state = { ...inputs, nodes: { cp1 } } as Properties;
    await harness().provider.update("readiness", urn("RolloutReadiness"), state, inputs);
    await harness().provider.create(urn("NodeConfiguration"), configuration("v1.9.6"));
    expect(machine.snapshot().appliedConfigs).toHaveLength(1);
  });
});
