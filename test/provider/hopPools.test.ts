import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Properties } from "../../provider/secrets.ts";
import { hopInputs } from "./hopsHarness.ts";
import { createHarness, inputsFor, urn as nodeUrn } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

// A rollout through several minor releases in which nodes have releases of their own.

const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:RolloutPreflight::preflight";
const names = ["cp1", "w1", "w2"];

let cluster: SimulatedCluster;
beforeEach(async () => {
  cluster = await SimulatedCluster.start({ subnet: "127.48.67", version: "v1.9.6", workers: 2 });
});
afterEach(async () => cluster?.stop());

const patient = () => createHarness(undefined, { probeMs: 5_000 });
const versions = () => names.map((name) => cluster.node(name).snapshot().version);

/** All nodes go to a release, except one. */
function withOwn(talosVersion: string, name: string, ownRelease: string): Properties {
  const inputs = hopInputs(cluster, names, talosVersion);
  const own = hopInputs(cluster, names, ownRelease)["nodes"] as Properties;
  return { ...inputs, nodes: { ...(inputs["nodes"] as Properties), [name]: own[name] } };
}

describe("a node whose own release is that of a hop", () => {
  it("goes there with that hop, so that the others don't get more than one minor release ahead", async () => {
    const inputs = withOwn("v1.12.11", "w2", "v1.10.9");
    const own = patient();
    const { outs } = await own.provider.create(urn, inputs);
    expect(own.info.filter((line) => line.startsWith("hop to"))).toEqual([
      "hop to v1.10.9: cp1, w1, w2",
      "hop to v1.11.6: cp1, w1",
    ]);
    expect(versions()).toEqual(["v1.11.6", "v1.11.6", "v1.10.9"]);
    expect(outs).toMatchObject({ due: ["cp1", "w1"] });
    // Its own upgrade finds it done.
    await patient().provider.create(nodeUrn, inputsFor(cluster, "w2", { talosVersion: "v1.10.9" }));
    expect(names.map((name) => cluster.node(name).snapshot().upgrades)).toEqual([2, 2, 1]);
  });

  it("is left to its own upgrade if no other node has a hop left", async () => {
    const { outs } = await patient().provider.create(urn, withOwn("v1.10.9", "w2", "v1.9.6"));
    expect(versions()).toEqual(["v1.9.6", "v1.9.6", "v1.9.6"]);
    expect(outs).toMatchObject({ due: names });
  });
});
