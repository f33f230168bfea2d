import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Properties } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { expectFailure, createHarness } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

// Removal of nodes that are reachable only through control planes. What an endpoint reports must not wipe or forget a running node.

const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:ClusterMembership::members";
const controlPlanes = ["cp1", "cp2", "cp3"];
let cluster: SimulatedCluster;
let kubernetes: FakeKubernetes;

beforeEach(async () => {
  const api = { w1: "closed", w2: 50022 } as const;
  const subnet = "127.58.2";
  cluster = await SimulatedCluster.start({ subnet, controlPlanes: 3, workers: 2, version: "v1.13.7", api });
  kubernetes = new FakeKubernetes();
  for (const { name, address } of cluster.nodes) kubernetes.add(name, address);
});
afterEach(async () => cluster?.stop());

/** From outside its network, nobody can see that a machine is in maintenance mode. */
const fromOutside: typeof connectActor = (connection) =>
  Object.assign(connectActor(connection), { inMaintenance: () => Promise.resolve(false) });

function without(...names: string[]): Properties {
  const staying = cluster.nodes.filter(({ name }) => !names.includes(name));
  const own = names.includes("w2") ? {} : { "127.58.2.22": ["127.58.2.22:50022"] };
  return {
    nodes: staying.map((node) => ({ name: node.name, node: node.address, role: node.identity().role })),
    onRemove: "reset",
    endpoints: { "*": controlPlanes.map((name) => cluster.node(name).address), ...own },
    clientConfiguration: { ...cluster.credentials },
    kubeconfig: "of a test",
    drain: { enabled: true, timeoutSeconds: 0.6 },
    timeoutSeconds: 8,
  };
}

const listed = (state: Properties | undefined): string[] => Object.keys(state?.["members"] as object);

describe("removing a node behind control planes", () => {
  it.each(["w1", "w2", "cp1"])("%s is drained, reset and forgotten", async (name) => {
    const own = createHarness(kubernetes, {}, fromOutside);
    const { outs } = await own.provider.create(urn, without());
    await own.provider.diff("membership", urn, outs, without(name));
    const after = await own.provider.update("membership", urn, outs, without(name));
    expect(cluster.node(name).snapshot().stage).toBe("maintenance");
    expect(kubernetes.log).toEqual([`cordon ${name}`, `delete ${name}`]);
    expect(listed(after.outs)).not.toContain(name);
    expect(own.warnings.join()).not.toContain("another address");
  });

  it("w1 stays while no endpoint answers, since that says nothing about the node", async () => {
    const own = createHarness(kubernetes);
    const { outs } = await own.provider.create(urn, without());
    for (const name of controlPlanes) cluster.node(name).faults.set("node-down");
    kubernetes.get("w1").ready = false;
    const failed = await expectFailure(own.provider.update("membership", urn, outs, without("w1")));
    expect(failed.message).toContain("none of its endpoints answers: 127.58.2.11, 127.58.2.12, 127.58.2.13");
    expect(failed.message).toContain("nothing is known about the node");
    expect(kubernetes.log).toEqual([]);
    expect(cluster.node("w1").snapshot()).toMatchObject({ stage: "running", reboots: 0 });
  });
});
