import { afterAll, beforeAll, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { unknownValue } from "../../talos/secrecy/engineValues.ts";
import type { Properties } from "../../provider/secrets.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { createHarness, inputsFor } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

/** A preview reports the refusals of all nodes instead of stopping at the first. */

const own = (type: string): string => `urn:pulumi:dev::talos-iscsi::talos-node:index:${type}::x`;

let cluster: SimulatedCluster;
beforeAll(async () => {
  cluster = await SimulatedCluster.start({ subnet: "127.48.29", controlPlanes: 1, workers: 2 });
});
afterAll(async () => cluster?.stop());

const patient = () => createHarness(undefined, { probeMs: 5_000, contactMs: 10_000 }).provider;

/** The node has a hostname that this configuration would drop. */
function configuration(name: string, more: Properties = {}): Properties {
  const node = cluster.node(name);
  const config = parse(node.config?.text ?? "") as { machine: Properties };
  delete config.machine["network"];
  const text = stringify(config);
  return {
    ...{ name, node: node.address, role: node.identity().role, controlPlanes: [cluster.node("cp1").address] },
    ...{ clientConfiguration: { ...cluster.credentials }, machineConfiguration: text, patches: [] },
    ...{ configuration: redactMachineConfig(text), contract: "v1.12", ...more },
  };
}

function preflight(): Properties {
  const names = ["cp1", "w1", "w2"];
  const nodes = Object.fromEntries(
    names.map((name) => {
      const { node, role, talosVersion, image } = inputsFor(cluster, name);
      return [name, { node, role, talosVersion, image }];
    }),
  );
  const { schematicId, controlPlanes, clientConfiguration, drain } = inputsFor(cluster, "cp1");
  return { nodes, schematicId, controlPlanes, clientConfiguration, drain };
}

it("a preview reports the refusals of all nodes; a deployment stops at the first", async () => {
  const refusals: Properties = { cp1: unknownValue };
  for (const name of ["w1", "w2"]) {
    const preview = await patient().check(
      own("NodeConfiguration"),
      {},
      configuration(name, { preview: true }),
    );
    expect(preview.failures).toEqual([]);
    expect(preview.inputs).not.toHaveProperty("preview");
    refusals[name] = (preview.inputs as Properties)["refused"];
    expect(refusals[name]).toMatch(/machine\.network/);
    const deployed = await patient().check(own("NodeConfiguration"), {}, configuration(name));
    expect(deployed.failures).toHaveLength(1);
    expect(deployed.inputs).not.toHaveProperty("refused");
  }
  const result = await patient().check(own("RolloutPreflight"), {}, { ...preflight(), refusals });
  expect(result.failures?.map(({ reason }) => reason)).toEqual([
    expect.stringMatching(/^w1 /) as string,
    expect.stringMatching(/^w2 /) as string,
  ]);
  // Problems of the rollout itself are known by then, and the refusals are not stored.
  expect((result.inputs as Properties)["plan"]).toMatchObject({ w1: expect.any(String) as string });
  expect(result.inputs).not.toHaveProperty("refusals");
});

it("another contract is refused for all nodes in one preview, and reported once", async () => {
  const refusals: Properties = {};
  for (const name of ["cp1", "w1"]) {
    const before = configuration(name);
    const after = configuration(name, { contract: "v1.13" });
    const preview = await patient().check(own("NodeConfiguration"), before, { ...after, preview: true });
    expect(preview.failures).toEqual([]);
    expect(preview.inputs).not.toHaveProperty("preview");
    refusals[name] = (preview.inputs as Properties)["refused"];
    expect(refusals[name]).toMatch(/v1\.12/);
    expect((await patient().check(own("NodeConfiguration"), before, after)).failures).toHaveLength(1);
  }
  const { failures } = await patient().check(own("RolloutPreflight"), {}, { ...preflight(), refusals });
  expect(failures).toEqual([{ property: "", reason: refusals["w1"] }]);
});

it("refused removals and unfit machines are reported in the same preview as refused configurations", async () => {
  const membership = (names: readonly string[], more: Properties = {}): Properties => ({
    nodes: Object.fromEntries(
      names.map((name) => {
        const { node, role } = inputsFor(cluster, name);
        return [name, { node, role }];
      }),
    ),
    ...{ clientConfiguration: { ...cluster.credentials }, onRemove: "reset", drain: { enabled: false } },
    ...more,
  });
  const type = own("ClusterMembership");
  const [before, after] = [membership(["cp1", "w1", "w2"]), membership(["w1", "w2"])];
  const preview = await patient().check(type, before, { ...after, preview: true });
  const inputs = preview.inputs as Properties;
  const refused = inputs["refused"];
  expect(preview.failures).toEqual([]);
  expect(refused).toMatch(/cp1 .*last control plane/);
  expect(inputs).not.toHaveProperty("preview");
  expect((await patient().diff("membership", type, before, inputs, before)).changes).toBe(true);
  // In a deployment, the resource refuses by itself.
  const deployed = await patient().check(type, before, after);
  expect(deployed.inputs).not.toHaveProperty("refused");
  await expect(
    patient().diff("membership", type, before, deployed.inputs as Properties, before),
  ).rejects.toThrow(/last control plane/);
  // Without a removal, nothing is refused.
  expect((await patient().check(type, before, { ...before, preview: true })).inputs).not.toHaveProperty(
    "refused",
  );

  const noLink = { path: "machine.network.interfaces[0]", link: "eno9" };
  const machines = await patient().check(
    own("RolloutReadiness"),
    {},
    {
      ...preflight(),
      ...{ onRemove: "keep", hardware: { check: "refuse", named: { w1: [noLink] } }, preview: true },
    },
  );
  expect(machines.failures).toEqual([]);
  const misfit = (machines.inputs as Properties)["refused"];
  expect(misfit).toMatch(/w1[^]*eno9/);

  const result = await patient().check(
    own("RolloutPreflight"),
    {},
    { ...preflight(), refusals: { "the machines": misfit, "the list of nodes": refused, w1: "w1 …" } },
  );
  expect(result.failures?.map(({ reason }) => reason)).toEqual([misfit, refused, "w1 …"]);
});
