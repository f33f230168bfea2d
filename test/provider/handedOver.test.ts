import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { unwrap, type Properties } from "../../provider/secrets.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { expectFailure, createHarness, inputsFor, urn, type Harness } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

/** Inputs that every node of a cluster shares: each node's state has only a digest of them, and its upgrade uses what the program passed. */

let cluster: SimulatedCluster;
let kubernetes: FakeKubernetes;

beforeEach(async () => {
  cluster = await SimulatedCluster.start({ subnet: "127.49.41", version: "v1.13.7", workers: 2 });
  kubernetes = new FakeKubernetes();
  for (const { name, address } of cluster.nodes) kubernetes.add(name, address);
});
afterEach(async () => cluster.stop());

const kubeconfig = "of a test, and long: ".repeat(100);

function rollout(others: number): Properties {
  const more = Array.from({ length: others }, (_, index) => `x${index} 10.0.${index >> 8}.${index & 255}`);
  const nodes = [...cluster.nodes.map(({ name, address }) => `${name} ${address}`), ...more].join(", ");
  const budget = { group: "workers", setting: "upgrade.workers.maxUnavailable", nodes: "w1, w2" };
  return { nodes, budgets: [{ ...budget, maxUnavailable: 1 }], windows: [], outsideWindow: "stop" };
}

function given(others = 0, change: Properties = {}): Properties {
  const drain = { enabled: true, timeoutSeconds: 1 };
  return inputsFor(cluster, "w1", { drain, kubeconfig, rollout: rollout(others), ...change });
}

/** The inputs that the engine keeps. */
async function checked(own: Harness, news: Properties): Promise<Properties> {
  return (await own.provider.check(urn, {}, news)).inputs as Properties;
}

describe("inputs shared by all nodes", () => {
  it("are one digest in each node's state, at any cluster size, and cause no diff", async () => {
    const own = createHarness(kubernetes);
    const { provider } = own;
    expect((await provider.check(urn, {}, given(500))).failures).toEqual([]);
    const [first, second] = [await checked(own, given(0)), await checked(own, given(500))];
    expect(JSON.stringify(second)).not.toContain("x499");
    expect(JSON.stringify(second)).not.toContain("of a test");
    expect(JSON.stringify(second).length).toBe(JSON.stringify(first).length);
    expect(unwrap(first).secrets).toContain("kubeconfig");
    const renewed = await checked(own, given(500, { kubeconfig: "renewed" }));
    expect(await provider.diff("id", urn, first, renewed)).toEqual({ changes: false });
    // Older state has the values themselves.
    expect(await provider.diff("id", urn, given(0), second)).toEqual({ changes: false });
    expect(await provider.diff("id", urn, given(0), { ...second, talosVersion: "v1.13.8" })).toMatchObject({
      details: { talosVersion: "update" },
    });
  });

  it("apply to an upgrade whose inputs were checked: it keeps the budget and drains", async () => {
    const own = createHarness(kubernetes);
    const { provider } = own;
    const inputs = await checked(own, given());
    kubernetes.get("w2").unschedulable = true;
    const { message } = await expectFailure(provider.create(urn, inputs));
    expect(message).toContain(": w2 (cordoned) [workers-unavailable]");
    kubernetes.get("w2").unschedulable = false;
    const { outs } = await provider.create(urn, inputs);
    expect(outs["runningVersion"]).toBe("v1.13.9");
    expect(kubernetes.log.join("\n")).toMatch(/cordon/);
    expect(JSON.stringify(outs)).not.toContain("of a test");
    expect(JSON.stringify(outs)).not.toContain("maxUnavailable");
  });

  it("without a check in this run stop the upgrade", async () => {
    const inputs = await checked(createHarness(kubernetes), given());
    const { message } = await expectFailure(createHarness(kubernetes).provider.create(urn, inputs));
    expect(message).toMatch(/^w1 \(127\.49\.41\.21\): the node was not touched, .* Run `pulumi up` again/);
    expect(cluster.node("w1").snapshot()).toMatchObject({ upgrades: 0, reboots: 0 });
    expect(kubernetes.log).toEqual([]);
  });

  it("are not needed for a refresh, which leaves them unchanged", async () => {
    const inputs = await checked(createHarness(kubernetes), given());
    const read = await createHarness(kubernetes).provider.read("id", urn, inputs);
    expect(read.inputs).toMatchObject({ rollout: inputs["rollout"] });
    expect(unwrap(read.inputs).values["kubeconfig"]).toEqual(unwrap(inputs).values["kubeconfig"]);
    expect(read.props).toMatchObject({ runningVersion: "v1.13.7" });
  });

  it("include an approval, of which each node keeps only its own part", async () => {
    const names = Array.from({ length: 500 }, (_, index) => `x${index}`);
    const approval = { digest: "d", run: "r", program: "p", upgrade: [...names, "w1"], configuration: names };
    const inputs = await checked(createHarness(kubernetes), given(0, { approval }));
    expect(inputs["approval"]).toEqual({ ...approval, upgrade: ["w1"], configuration: [] });
  });
});
