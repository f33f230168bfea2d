import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { unknownValue } from "../../talos/secrecy/engineValues.ts";
import { unwrap, type Properties } from "../../provider/secrets.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { planFromInput, type RolloutPlan } from "../../talos/rolloutPlan.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { expectFailure, createHarness, inputsFor, urn as upgradeUrn } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

/** Only the approved plan runs. */

const own = (type: string): string => `urn:pulumi:dev::talos-iscsi::talos-node:index:${type}::x`;
const urn = own("RolloutReadiness");
const names = ["cp1", "cp2", "cp3", "w1", "w2"];

let cluster: SimulatedCluster;
beforeAll(async () => {
  cluster = await SimulatedCluster.start({
    subnet: "127.48.17",
    version: "v1.13.7",
    controlPlanes: 3,
    workers: 2,
  });
});
afterAll(async () => cluster?.stop());

const has = (name: string): string => cluster.node(name).config?.text ?? "";

function withSysctl(name: string, value: string): string {
  const config = parse(has(name)) as { machine: Properties };
  config.machine["sysctls"] = { "vm.nr_hugepages": value };
  return stringify(config);
}

/** The image of every node, and one sysctl on w2. */
function inputs(talosVersion = "v1.13.9", shared: Properties = {}, sysctl = "1024"): Properties {
  const nodes = Object.fromEntries(
    names.map((name) => {
      const { node, role, image, extensions, services, files } = inputsFor(cluster, name, { talosVersion });
      return [name, { node, role, talosVersion, image, extensions, services, files }];
    }),
  );
  const { schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds } = inputsFor(
    cluster,
    "cp1",
  );
  const configurations = Object.fromEntries(
    names.map((name) => [name, { text: name === "w2" ? withSysctl(name, sysctl) : has(name), patches: [] }]),
  );
  return {
    ...{ nodes, schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds, configurations },
    ...{ onRemove: "reset", ...shared },
  };
}

/** The state after a deployment that changed nothing. */
async function before(): Promise<Properties> {
  const news = {
    ...inputs("v1.13.7"),
    configurations: Object.fromEntries(names.map((name) => [name, { text: has(name), patches: [] }])),
  };
  return (await checked({}, news)).inputs;
}

const patient = () => createHarness(undefined, { probeMs: 5_000, contactMs: 10_000 });

async function checked(olds: Properties, news: Properties) {
  const result = await patient().provider.check(urn, olds, news);
  return {
    inputs: unwrap(result.inputs as Properties).values,
    failures: (result.failures ?? []).map(({ reason }) => reason),
  };
}

const planned = (made: Properties): RolloutPlan => {
  const plan = planFromInput(made["plan"]);
  if (plan === undefined) throw new Error("there is no plan");
  return plan;
};

describe("a preview's plan", () => {
  it("contains every node that changes and no secret; the state stores no configuration", async () => {
    const { inputs: made } = await checked(await before(), inputs());
    const plan = planned(made);
    expect(Object.keys(plan.nodes).sort()).toEqual([...names].sort());
    expect(plan.nodes["cp1"]).toMatchObject({
      upgrade: {
        from: expect.stringContaining("v1.13.7") as string,
        to: expect.stringContaining("v1.13.9") as string,
      },
    });
    expect(plan.nodes["cp1"]).not.toHaveProperty("configuration");
    expect(plan.nodes["w2"]?.configuration?.lines).toEqual([expect.stringContaining("vm.nr_hugepages")]);
    expect(made["planDigest"]).toMatch(/^[0-9a-f]{64}$/);
    // A second check gives the same digest.
    expect((await checked(await before(), inputs())).inputs["planDigest"]).toBe(made["planDigest"]);
    const { cluster: keys } = parse(has("cp1")) as { cluster: { secret: string; ca: { key: string } } };
    const kept = JSON.stringify({ ...made, clientConfiguration: undefined });
    for (const secret of [keys.secret, keys.ca.key]) expect(kept).not.toContain(secret);
    expect(kept).not.toContain("v1alpha1");
  });

  it("covers configuration-only changes and leaving nodes; a preview without changes contacts no node", async () => {
    const last = await before();
    const change = planned((await checked(last, inputs("v1.13.7"))).inputs);
    expect(names.filter((name) => change.nodes[name]?.configuration !== undefined)).toEqual(["w2"]);
    const fewer = inputs("v1.13.7", {}, "1024");
    delete (fewer["nodes"] as Properties)["w1"];
    expect(planned((await checked(last, fewer)).inputs).leaving).toEqual({
      w1: { address: cluster.node("w1").address, way: "reset" },
    });
    let dials = 0;
    const { provider } = createHarness(undefined, {}, (connection) => {
      dials++;
      return connectActor(connection);
    });
    const same = {
      ...inputs("v1.13.7"),
      configurations: Object.fromEntries(names.map((name) => [name, { text: has(name), patches: [] }])),
    };
    const made = (await provider.check(urn, last, same)).inputs as Properties;
    expect(made).not.toHaveProperty("planDigest");
    expect(dials).toBe(0);
    expect((await provider.diff("readiness", urn, last, made, last)).changes).toBe(false);
    // With an approval it checks anyway: a failed deployment may have left work.
    await provider.check(urn, last, { ...same, approvedPlan: { digest: "none" } });
    expect(dials).toBeGreaterThan(0);
  });

  it("is the same before and after a new cluster's secrets exist", async () => {
    const unknown = {
      ...inputs(),
      clientConfiguration: unknownValue,
      configurations: Object.fromEntries(
        names.map((name) => [name, { text: unknownValue, patches: unknownValue }]),
      ),
    };
    const plan = planned((await checked({}, unknown)).inputs);
    expect(plan.nodes["cp1"]).toMatchObject({ joins: { to: expect.stringContaining("v1.13.9") as string } });
    const strangers = {
      ...inputs(),
      clientConfiguration: { ...cluster.credentials, caCertificate: await strangersCa() },
    };
    expect(planned((await checked({}, strangers)).inputs)).toEqual(plan);
    // A node already in the state needs no approval to join.
    expect((await checked({ ...strangers, configurations: {} }, unknown)).inputs["planDigest"]).toBe(
      unknownValue,
    );
  });

  it("is not shown if a configuration is only written in another way", async () => {
    await patient().provider.create(upgradeUrn, inputsFor(cluster, "w1", { talosVersion: "v1.13.7" }));
    const written = (text: string): Properties => {
      const { nodes, ...shared } = inputs("v1.13.7");
      const { w1 } = nodes as Properties;
      return { ...shared, nodes: { w1 }, configurations: { w1: { text, patches: [] } } };
    };
    const { inputs: last } = await checked({}, written(has("w1")));
    const keys = Object.entries(parse(has("w1")) as Properties);
    const { inputs: made } = await checked(last, written(stringify(Object.fromEntries(keys.reverse()))));
    expect(made).not.toHaveProperty("planDigest");
    expect((await patient().provider.diff("readiness", urn, last, made, last)).changes).toBe(false);
  });
});

/** A CA that no node trusts. To a client with this CA, every node looks like one in maintenance mode. */
async function strangersCa(): Promise<string> {
  const other = await SimulatedCluster.start({ subnet: "127.48.18", controlPlanes: 1, workers: 0 });
  const { caCertificate } = other.credentials;
  await other.stop();
  return caCertificate;
}

describe("an approved plan", () => {
  let digest: string;
  let plan: RolloutPlan;
  beforeAll(async () => {
    const { inputs: made } = await checked(await before(), inputs());
    digest = String(made["planDigest"]);
    plan = planned(made);
  });

  it("is confirmed when nothing has changed, and a saved plan fits both preview and deployment", async () => {
    const last = await before();
    const preview = await checked(
      last,
      inputs("v1.13.9", { approvedPlan: { digest: "none" }, preview: true, run: "program 1" }),
    );
    expect(preview).toMatchObject({ failures: [], inputs: { approval: unknownValue, planDigest: digest } });
    const { inputs: news, failures } = await checked(
      last,
      inputs("v1.13.9", { approvedPlan: { digest }, preview: false, run: "program 2" }),
    );
    expect(failures).toEqual([]);
    expect(news).not.toHaveProperty("run");
    expect(Object.keys(news).sort()).toEqual(Object.keys(preview.inputs).sort());
    const { provider } = patient();
    expect((await provider.diff("readiness", urn, last, news, last)).changes).toBe(true);
    const { outs } = await provider.update("readiness", urn, last, news);
    expect(outs["confirmed"]).toMatchObject({ digest, upgrade: names, configuration: ["w2"], leaving: [] });
    expect(outs["confirmed"]).toMatchObject({ program: "program 2" });
    // The next deployment without an approval has nothing to do.
    const next = (await checked(news, inputs())).inputs;
    expect((await provider.diff("readiness", urn, unwrap(outs).values, next, news)).changes).toBe(false);
  });

  it("that differs from the current plan is refused before anything changes, and the differences are named", async () => {
    const last = await before();
    const other = await checked(last, inputs("v1.13.9", { approvedPlan: { digest, plan } }, "2048"));
    expect(other.failures).toHaveLength(1);
    expect(other.failures[0]).toMatch(/1024[^]*2048/);
    expect(other.failures[0]).not.toMatch(/cp1|w1/);
    const alone = await checked(last, inputs("v1.13.9", { approvedPlan: { digest } }, "2048"));
    expect(alone.failures[0]).toMatch(/cp1[^]*w2/);
  });

  it("stops resources from changing a node that it omits, and resources that have another run's approval", async () => {
    const { provider } = patient();
    const was = cluster.touched();
    const approval = { digest, run: "", upgrade: ["cp1"], configuration: ["cp1"], leaving: ["w2"] };
    for (const given of [
      approval,
      { ...approval, run: "another", upgrade: names, configuration: names, leaving: names },
      {},
    ]) {
      const upgrade = await expectFailure(
        provider.create(upgradeUrn, inputsFor(cluster, "w1", { approval: given })),
      );
      expect(upgrade.message).toMatch(/^w1 .*approved/);
      const pull = await expectFailure(
        provider.create(own("RolloutPreflight"), { ...preflightInputs(), approval: given }),
      );
      expect(pull.message).toMatch(/approved/);
      const text = withSysctl("w1", "1");
      const node = cluster.node("w1").address;
      const configuration: Properties = {
        ...{ name: "w1", node, role: "worker", controlPlanes: [cluster.node("cp1").address] },
        ...{ clientConfiguration: { ...cluster.credentials }, machineConfiguration: text, patches: [] },
        ...{
          configuration: redactMachineConfig(text),
          contract: "v1.12",
          timeoutSeconds: 2,
          approval: given,
        },
      };
      const applied = await expectFailure(
        provider.update(
          node,
          own("NodeConfiguration"),
          { ...configuration, machineConfiguration: has("w1") },
          configuration,
        ),
      );
      expect(applied.message).toMatch(/^w1 .*approved/);
      const members = Object.fromEntries(
        names.map((name) => [
          name,
          { node: cluster.node(name).address, role: cluster.node(name).identity().role },
        ]),
      );
      const { w1: _w1, ...rest } = members;
      const shared = {
        clientConfiguration: { ...cluster.credentials },
        onRemove: "reset",
        drain: { enabled: false },
      };
      const removed = await expectFailure(
        provider.update(
          "membership",
          own("ClusterMembership"),
          { ...shared, nodes: members },
          {
            ...shared,
            nodes: rest,
            approval: given,
          },
        ),
      );
      expect(removed.message).toMatch(/^w1 .*approved/);
    }
    expect(cluster.touched()).toEqual(was);
  });

  it("causes no diff by itself", async () => {
    const { provider } = patient();
    const [old, news] = [{ digest: "a" }, { digest: "b" }];
    const changes = async (type: string, given: Properties, olds: Properties = { ...given, approval: old }) =>
      (await provider.diff("id", own(type), olds, { ...given, approval: news }, olds)).changes;
    const node = inputsFor(cluster, "w1");
    for (const type of ["NodeUpgrade", "NodeConfiguration", "RolloutPreflight"]) {
      expect(await changes(type, node)).toBe(false);
      expect(await changes(type, node, node)).toBe(false);
    }
    expect(await changes("ClusterMembership", { nodes: { w1: { node: "10.0.0.21", role: "worker" } } })).toBe(
      false,
    );
    const upgrade = await provider.diff(
      "id",
      upgradeUrn,
      node,
      { ...node, talosVersion: "v1.14.1", approval: news },
      node,
    );
    expect(upgrade.details).toEqual({ talosVersion: "update" });
  });

  it("is refused after someone has upgraded a node by hand", async () => {
    const last = await before();
    await createHarness(undefined, { settleMs: 5_000, serviceMs: 5_000 }).provider.create(
      upgradeUrn,
      inputsFor(cluster, "w1", { timeoutSeconds: 60 }),
    );
    const { failures } = await checked(last, inputs("v1.13.9", { approvedPlan: { digest, plan } }));
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatch(/w1/);
    expect(failures[0]).not.toMatch(/cp1|w2/);
  });
});

function preflightInputs(): Properties {
  const { onRemove: _onRemove, configurations: _configurations, ...rest } = inputs();
  return { ...rest, prePull: true };
}
