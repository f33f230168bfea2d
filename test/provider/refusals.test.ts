import { afterAll, beforeAll, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { unknownValue, type Properties } from "../../provider/secrets.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { harness, inputsFor } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

/** A preview tells what all nodes have against their configurations, and does not end at the first. */

const own = (type: string): string => `urn:pulumi:dev::talos-iscsi::talos-node:index:${type}::x`;

let cluster: SimulatedCluster;
beforeAll(async () => {
  cluster = await SimulatedCluster.start({ subnet: "127.48.29", controlPlanes: 1, workers: 2 });
});
afterAll(async () => cluster?.stop());

const patient = () => harness(undefined, { probeMs: 5_000, contactMs: 10_000 }).provider;

/** The node has a host name that its configuration here would drop. */
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

it("refusals of all nodes are one preview's errors; a deployment is refused at the first", async () => {
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
  const names = ["cp1", "w1", "w2"];
  const nodes = Object.fromEntries(
    names.map((name) => {
      const { node, role, talosVersion, image } = inputsFor(cluster, name);
      return [name, { node, role, talosVersion, image }];
    }),
  );
  const { schematicId, controlPlanes, clientConfiguration, drain } = inputsFor(cluster, "cp1");
  const result = await patient().check(
    own("RolloutPreflight"),
    {},
    { nodes, schematicId, controlPlanes, clientConfiguration, drain, refusals },
  );
  expect(result.failures?.map(({ reason }) => reason)).toEqual([
    expect.stringMatching(/^w1 /) as string,
    expect.stringMatching(/^w2 /) as string,
  ]);
  // What stands against the rollout itself is known by then, and nothing of it is kept.
  expect((result.inputs as Properties)["plan"]).toMatchObject({ w1: expect.any(String) as string });
  expect(result.inputs).not.toHaveProperty("refusals");
});
