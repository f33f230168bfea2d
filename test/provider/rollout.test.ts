import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectActor } from "../../talos/api/actor.ts";
import { TalosError } from "../../talos/api/errors.ts";
import { unknownValue } from "../../talos/secrecy/engineValues.ts";
import type { Properties } from "../../provider/secrets.ts";
import {
  expectFailure,
  createHarness,
  inputsFor,
  urn as upgradeUrn,
  type Harness,
} from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:RolloutPreflight::preflight";
const names = ["cp1", "cp2", "cp3", "w1"];

let cluster: SimulatedCluster;
beforeEach(async () => {
  cluster = await SimulatedCluster.start({ subnet: "127.48.7", controlPlanes: 3, workers: 1 });
});
afterEach(async () => cluster?.stop());

function preflightInputs(change: Properties = {}): Properties {
  const nodes = names.map((name) => {
    const { node, role, talosVersion, image, extensions, services, files } = inputsFor(cluster, name, change);
    return { name, node, role, talosVersion, image, extensions, services, files };
  });
  const { schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds } = inputsFor(
    cluster,
    "cp1",
  );
  return { nodes, schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds };
}

async function checked(own: Harness, olds: Properties, news: Properties): Promise<Properties> {
  const result = await own.provider.check(urn, olds, news);
  expect(result.failures).toEqual([]);
  const inputs: unknown = result.inputs;
  return inputs as Properties;
}

async function notReady(name: string): Promise<void> {
  cluster.node(name).faults.set("not-ready");
  while (cluster.node(name).snapshot().ready) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe("a preview of a rollout", () => {
  it("shows what every node runs and will run, as read from the nodes", async () => {
    await createHarness().provider.create(upgradeUrn, inputsFor(cluster, "w1"));
    const own = createHarness();
    const { plan } = await checked(own, {}, preflightInputs());
    expect(plan).toEqual({
      cp1: "v1.12.7 with no schematic -> v1.13.9 with schematic c9078f941996…, one reboot; etcd 3.6.9, storage 3.6.0 -> 3.6.12",
      cp2: "v1.12.7 with no schematic -> v1.13.9 with schematic c9078f941996…, one reboot; etcd 3.6.9, storage 3.6.0 -> 3.6.12",
      cp3: "v1.12.7 with no schematic -> v1.13.9 with schematic c9078f941996…, one reboot; etcd 3.6.9, storage 3.6.0 -> 3.6.12",
      w1: "new in this stack -> v1.13.9 with schematic c9078f941996…",
    });
    expect(own.warnings.length).toBeGreaterThan(0);
    for (const warning of own.warnings) expect(warning).toMatch(/^cp1, cp2, cp3: /);
    expect(JSON.stringify([plan, own.warnings])).not.toContain(cluster.credentials.clientKey);
  });

  it("warns that no etcd snapshot is taken before another minor release", async () => {
    const warned = async (inputs: Properties): Promise<boolean> => {
      const own = createHarness();
      await checked(own, {}, inputs);
      return own.warnings.some((text) => text.startsWith("cp1, cp2, cp3: no snapshot of etcd is taken"));
    };
    const etcdSnapshot = { cluster: "test", directory: "/somewhere", keep: 1, ageRecipients: [] };
    expect(await warned(preflightInputs())).toBe(true);
    expect(await warned({ ...preflightInputs(), etcdSnapshot })).toBe(false);
    expect(await warned(preflightInputs({ talosVersion: "v1.12.8" }))).toBe(false);
  });

  it("warns of no contract when going back a minor release", async () => {
    const own = createHarness();
    await checked(own, {}, preflightInputs({ talosVersion: "v1.11.6" }));
    expect(own.warnings).toEqual([expect.stringContaining("no snapshot of etcd") as string]);
  });

  it("warns of what would stop the rollout right now, and still succeeds", async () => {
    await notReady("cp3");
    cluster.node("w1").faults.set("permission-denied");
    const own = createHarness();
    const { plan } = await checked(own, {}, preflightInputs());
    expect(plan).toMatchObject({ w1: "not read -> v1.13.9 with schematic c9078f941996…" });
    const obstacles = own.warnings.filter((text) =>
      text.startsWith("the rollout would be refused right now: "),
    );
    // A problem of two control planes is reported once.
    const about = (text: string): string[] => obstacles.filter((obstacle) => obstacle.includes(text));
    expect(about("control plane 127.48.7.13 is running, not ready")).toHaveLength(1);
    expect(obstacles[0]).toMatch(/cp1 .*, cp2 .*control plane 127\.48\.7\.13 is running, not ready/);
    expect(obstacles.join("\n")).toMatch(/cp3 .*step "guard": the node is running, not ready/);
    expect(obstacles.at(-1)).toMatch(/w1 \(127\.48\.7\.21\), step "inspect": .*not authorized.*os:admin/);
  });

  it("shows each node's image by name, including a change to another image", async () => {
    await createHarness().provider.create(upgradeUrn, inputsFor(cluster, "w1"));
    const inputs = preflightInputs();
    const vanilla = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";
    const own = [
      { imageName: "default" },
      ...[{ imageName: "default" }, { imageName: "gpu", schematicId: vanilla }],
      { imageName: "gpu", schematicId: vanilla },
    ];
    const nodes = (inputs["nodes"] as Properties[]).map((node, index) => ({ ...node, ...own[index] }));
    const { plan } = await checked(createHarness(), {}, { ...inputs, nodes });
    const etcd = "; etcd 3.6.9, storage 3.6.0 -> 3.6.12";
    const cp = "v1.12.7 with no schematic -> v1.13.9, image";
    expect(plan).toEqual({
      cp1: `${cp} default (schematic c9078f941996…), one reboot${etcd}`,
      cp2: `${cp} default (schematic c9078f941996…), one reboot${etcd}`,
      cp3: `${cp} gpu (schematic 376567988ad3…), one reboot${etcd}`,
      w1: "v1.13.9 with schematic c9078f941996… -> v1.13.9, image gpu (schematic 376567988ad3…), one reboot",
    });
    const settled = nodes.map((node) => ({ ...node, schematicId: undefined, imageName: "default" }));
    const shared = { ...inputs, nodes: settled.map(({ schematicId: _own, ...node }) => node) };
    const known = { ...shared, plan: {}, schematicId: "0".repeat(64) };
    expect(((await checked(createHarness(), known, shared))["plan"] as Record<string, string>)["w1"]).toBe(
      "v1.13.9 with schematic c9078f941996…, image default, already, no reboot",
    );
  });

  it("shows the same line for a node before and after its installation, so a saved plan stays valid", async () => {
    await createHarness().provider.create(upgradeUrn, inputsFor(cluster, "w1"));
    const { nodes, ...shared } = preflightInputs();
    const olds = { ...shared, nodes: (nodes as Properties[]).filter(({ name }) => name !== "w1"), plan: [] };
    const lineOf = async () =>
      ((await checked(createHarness(), olds, preflightInputs()))["plan"] as Record<string, string>)["w1"];
    const installed = await lineOf();
    const machine = cluster.node("w1");
    delete machine.disk.config;
    machine.powerCut("reboot");
    while (machine.snapshot().stage !== "maintenance") await new Promise((r) => setTimeout(r, 20));
    expect(await lineOf()).toBe(installed);
    await machine.stop();
    expect(await lineOf()).toBe(installed);
    expect(installed).toMatch(/^new in this stack -> v1\.13\.9 /);
  });

  it("shows the same line when an answer is lost, so a busy node does not invalidate a saved plan", async () => {
    const lineOf = async (own: Harness) =>
      ((await checked(own, {}, preflightInputs()))["plan"] as Record<string, string>)["cp1"];
    const undisturbed = await lineOf(createHarness());
    expect(undisturbed).toContain("; etcd ");
    let lost = 0;
    const busy = createHarness(undefined, {}, (options) => {
      const client = connectActor(options);
      const ask = client.etcdStatus.bind(client);
      client.etcdStatus = async (call) => {
        if (lost++ < 2) throw new TalosError("timeout", "cp1", "MachineService.EtcdStatus", "no answer");
        return ask(call);
      };
      return client;
    });
    expect(await lineOf(busy)).toBe(undisturbed);
    expect(lost).toBeGreaterThan(2);
  });

  it("shows that a known node already runs the image", async () => {
    await createHarness().provider.create(upgradeUrn, inputsFor(cluster, "w1"));
    const { plan } = await checked(
      createHarness(),
      { ...preflightInputs(), plan: [], nodes: [{ name: "w1" }] },
      preflightInputs(),
    );
    expect(plan).toMatchObject({ w1: "v1.13.9 with schematic c9078f941996… already, no reboot" });
  });

  it("keeps its plan without contacting a node while nothing has changed", async () => {
    const first = await checked(createHarness(), {}, preflightInputs());
    await Promise.all(cluster.nodes.map((node) => node.stop()));
    const own = createHarness();
    const again = await checked(own, first, preflightInputs());
    expect(again["plan"]).toEqual(first["plan"]);
    expect(own.warnings).toEqual([]);
    const changed = await checked(own, first, preflightInputs({ talosVersion: "v1.13.7" }));
    expect((changed["plan"] as Record<string, string>)["cp1"]).toMatch(/^not read -> v1\.13\.7/);
  });

  it.each(["clientConfiguration", "schematicId", "nodes"])(
    "shows no plan while %s is unknown",
    async (key) => {
      const own = createHarness();
      const inputs = await checked(own, {}, { ...preflightInputs(), [key]: unknownValue });
      expect(inputs["plan"]).toBe(unknownValue);
      expect(own.warnings).toEqual([]);
    },
  );

  it("shows what the nodes run while the kubeconfig is unknown", async () => {
    const inputs = await checked(createHarness(), {}, { ...preflightInputs(), kubeconfig: unknownValue });
    expect(Object.keys(inputs["plan"] as object)).toEqual(names);
  });
});

describe("a single node's upgrade, as with --target, a saved plan or a resource deleted from the state", () => {
  it("checks the other control planes itself, even if the same process ran a preflight", async () => {
    const first = createHarness();
    const inputs = await checked(first, {}, preflightInputs());
    await first.provider.create(urn, inputs);
    await first.provider.create(upgradeUrn, inputsFor(cluster, "cp1"));

    await notReady("cp3");
    const refused = await expectFailure(first.provider.create(upgradeUrn, inputsFor(cluster, "cp2")));
    expect(refused.message).toMatch(
      /^cp2 \(127\.48\.7\.12\), step "guard": control plane 127\.48\.7\.13 is running, not ready/,
    );
    expect(cluster.node("cp2").snapshot()).toMatchObject({ version: "v1.12.7", upgrades: 0 });

    cluster.node("cp3").faults.clear();
    await cluster.ready();
    await createHarness().provider.create(upgradeUrn, inputsFor(cluster, "cp2"));
    expect(cluster.node("cp2").snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1 });
  });

  it("makes two control planes take turns", async () => {
    const down = new Set<string>();
    let most = 0;
    const watch = setInterval(() => {
      for (const name of ["cp1", "cp2"]) {
        if (cluster.node(name).snapshot().stage === "running") down.delete(name);
        else down.add(name);
      }
      most = Math.max(most, down.size);
    }, 5);
    const own = createHarness();
    await Promise.all(
      ["cp1", "cp2"].map((name) => own.provider.create(upgradeUrn, inputsFor(cluster, name))),
    );
    clearInterval(watch);
    expect(most).toBe(1);
    for (const name of ["cp1", "cp2"])
      expect(cluster.node(name).snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1 });
  });
});
