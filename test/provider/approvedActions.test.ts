import { afterEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { unwrap, type Properties } from "../../provider/secrets.ts";
import { planFromInput } from "../../talos/rolloutPlan.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import {
  newRelease,
  oldRelease,
  KubernetesCluster,
  urn as kubernetesUrn,
} from "./kubernetesUpgradeHarness.ts";
import { expectFailure, createHarness, inputsFor } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

/** What an approved plan allows besides single-step upgrades, and how many calls a check makes. */

const own = (type: string): string => `urn:pulumi:dev::talos-iscsi::talos-node:index:${type}::x`;
const patient = (kubernetes?: FakeKubernetes) =>
  createHarness(kubernetes, { probeMs: 5_000, contactMs: 10_000, serviceMs: 10_000, settleMs: 5_000 });

let cluster: SimulatedCluster;
afterEach(async () => cluster?.stop());

/** Inputs of a RolloutReadiness that takes these nodes to a release and leaves their configurations unchanged. */
function readiness(names: readonly string[], talosVersion: string, shared: Properties = {}): Properties {
  const nodes = Object.fromEntries(
    names.map((name) => {
      const { node, role, image, extensions, services, files } = inputsFor(cluster, name, { talosVersion });
      return [name, { node, role, talosVersion, image, extensions, services, files }];
    }),
  );
  const [first = ""] = names;
  const { schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds } = inputsFor(
    cluster,
    first,
  );
  const configurations = Object.fromEntries(
    names.map((name) => [name, { text: cluster.node(name).config?.text ?? "", patches: [] }]),
  );
  return {
    ...{ nodes, schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds, configurations },
    ...{ onRemove: "reset", ...shared },
  };
}

const type = own("RolloutReadiness");
async function checked(olds: Properties, news: Properties) {
  const result = await patient().provider.check(type, olds, news);
  return { inputs: unwrap(result.inputs as Properties).values, failures: result.failures ?? [] };
}

/** The confirmed approval that the other resources get in the run with this digest. */
async function confirmed(last: Properties, news: Properties): Promise<Properties> {
  const { inputs: preview } = await checked(last, news);
  const approvedPlan = { digest: String(preview["planDigest"]) };
  const { inputs, failures } = await checked(last, { ...news, approvedPlan });
  expect(failures).toEqual([]);
  const { outs } = await patient().provider.update("readiness", type, last, inputs);
  return unwrap(outs).values["confirmed"] as Properties;
}

describe("with an approved plan", () => {
  it("takes nodes through every release of an approved plan, and refuses a node whose hops were not approved", async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.48.41", version: "v1.11.6", workers: 1 });
    const names = ["cp1", "w1"];
    const hop = inputsFor(cluster, "cp1", { talosVersion: "v1.12.11" });
    const { talosVersion, image, extensions, services, files } = hop;
    const hops = {
      ways: { default: [{ talosVersion, image, extensions, services, files }] },
      nodes: { cp1: { way: "default", after: [] }, w1: { way: "default", after: ["cp1"] } },
    };
    const news = readiness(names, "v1.13.9", { hops });
    const last = (await checked({}, { ...readiness(names, "v1.11.6"), hops })).inputs;
    const { inputs } = await checked(last, news);
    expect(planFromInput(inputs["plan"])?.nodes["w1"]?.upgrade?.through).toEqual([
      expect.stringContaining("v1.12.11") as string,
    ]);
    const approval = await confirmed(last, news);
    const { onRemove: _onRemove, configurations: _configurations, ...rollout } = news;
    const was = cluster.touched();
    const refused = await expectFailure(
      patient().provider.create(own("RolloutPreflight"), {
        ...rollout,
        approval: { ...approval, upgrade: ["cp1"] },
      }),
    );
    expect(refused.message).toMatch(/w1 .*approved plan/);
    expect(cluster.touched()).toEqual(was);
    await patient().provider.create(own("RolloutPreflight"), { ...rollout, approval });
    expect(names.map((name) => cluster.node(name).snapshot().version)).toEqual(["v1.12.11", "v1.12.11"]);
    // The nodes are now halfway, so the remaining hops are a different plan.
    const again = await checked(last, { ...news, approvedPlan: { digest: approval["digest"] } });
    expect(again.failures).toHaveLength(1);
  });

  it("resets a machine whose reset was approved, and refuses one that was only approved to leave", async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.48.42", version: "v1.13.7", workers: 2 });
    const kubernetes = new FakeKubernetes();
    for (const { name, address } of cluster.nodes) kubernetes.add(name, address);
    const all = ["cp1", "w1", "w2"];
    const last = (await checked({}, readiness(all, "v1.13.7"))).inputs;
    const members = (names: readonly string[]): Properties => ({
      nodes: Object.fromEntries(
        names.map((name) => {
          const { node, role } = inputsFor(cluster, name);
          return [name, { node, role }];
        }),
      ),
      ...{ clientConfiguration: { ...cluster.credentials }, kubeconfig: "of a test" },
      ...{ onRemove: "reset", drain: { enabled: false } },
    });
    const remove = (approval: Properties) =>
      patient(kubernetes).provider.update("membership", own("ClusterMembership"), members(all), {
        ...members(["cp1", "w1"]),
        approval,
      });
    const was = cluster.touched();
    const kept = await confirmed(last, readiness(["cp1", "w1"], "v1.13.7", { onRemove: "keep" }));
    expect(kept["leaving"]).toEqual([]);
    expect((await expectFailure(remove(kept))).message).toMatch(/w2 .*approved plan/);
    expect(cluster.touched()).toEqual(was);
    const approval = await confirmed(last, readiness(["cp1", "w1"], "v1.13.7"));
    await remove(approval);
    expect(cluster.node("w2").snapshot().stage).toBe("maintenance");
    expect(kubernetes.log.join()).toContain("w2");
  });

  it("upgrades Kubernetes if every node of it is approved, and otherwise starts nothing", async () => {
    const kube = await KubernetesCluster.start({ subnet: "127.48.43", controlPlanes: 1, workers: 1 });
    ({ cluster } = kube);
    const names = ["cp1", "w1"];
    const state = await kube.adopted(kube.provider().provider);
    const now = readiness(names, "v1.13.9", { kubernetesVersion: oldRelease });
    const last = (await checked({}, now)).inputs;
    const moved = (name: string): string => {
      const config = parse(cluster.node(name).config?.text ?? "") as unknown;
      return stringify(JSON.parse(JSON.stringify(config).replaceAll(oldRelease, newRelease)));
    };
    const news = {
      ...now,
      kubernetesVersion: newRelease,
      configurations: Object.fromEntries(names.map((name) => [name, { text: moved(name), patches: [] }])),
    };
    const approval = await confirmed(last, news);
    expect(approval["kubernetes"]).toEqual(names);
    const { nodes } = cluster;
    const pulled = (): number[] => nodes.map(({ componentImages }) => componentImages.size);
    const was = [kube.applies(), pulled(), kube.kubernetes.log.length];
    for (const other of [{ ...approval, kubernetes: ["cp1"] }, {}]) {
      const refused = await expectFailure(
        kube.provider().provider.update("kubernetes", kubernetesUrn, state, kube.inputs({ approval: other })),
      );
      expect(refused.message).toMatch(/approved/);
      expect([kube.applies(), pulled(), kube.kubernetes.log.length]).toEqual(was);
    }
    await kube.provider().provider.update("kubernetes", kubernetesUrn, state, kube.inputs({ approval }));
    expect(Object.values(kube.configured()).map(({ kubelet }) => kubelet)).toEqual([newRelease, newRelease]);
  }, 60_000);
});

describe("the check of all nodes", () => {
  /** Counts the Talos API calls that a check of these inputs makes. */
  async function calls(olds: Properties, news: Properties): Promise<number> {
    let count = 0;
    const counting: typeof connectActor = (connection) =>
      new Proxy(connectActor(connection), {
        get(target, key) {
          const value = Reflect.get(target, key) as unknown;
          if (typeof value !== "function") return value;
          return (...args: unknown[]): unknown => {
            if (!["close", "reconnect"].includes(String(key))) count++;
            return Reflect.apply(value, target, args) as unknown;
          };
        },
      });
    const { provider } = createHarness(undefined, { probeMs: 5_000, contactMs: 10_000 }, counting);
    await provider.check(type, olds, news);
    return count;
  }

  it("makes the same few calls per node at any cluster size, and none without a change or an approval", async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.48.44", version: "v1.13.7", workers: 3 });
    const some = ["cp1", "w1"];
    const all = ["cp1", "w1", "w2", "w3"];
    const cost = async (names: readonly string[], more: Properties = {}): Promise<number> =>
      calls((await checked({}, readiness(names, "v1.13.7"))).inputs, readiness(names, "v1.13.7", more));
    expect(await cost(all)).toBe(0);
    const approvedPlan = { digest: "none" };
    const [two, four] = [await cost(some, { approvedPlan }), await cost(all, { approvedPlan })];
    expect(four / all.length).toBe(two / some.length);
    expect(four / all.length).toBeLessThanOrEqual(12);
  });
});
