import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Properties } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { hopInputs } from "./hopsHarness.ts";
import { createHarness, expectFailure } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:RolloutPreflight::preflight";
const names = ["cp1", "w1", "w2"];

let cluster: SimulatedCluster;
beforeEach(async () => {
  cluster = await SimulatedCluster.start({ subnet: "127.48.61", version: "v1.9.6", workers: 2 });
});
afterEach(async () => cluster?.stop());

const patient = () => createHarness(undefined, { probeMs: 5_000 });
const upgrades = () => names.map((name) => cluster.node(name).snapshot().upgrades);
const missing = (image: string): string => image.replace(/[0-9a-f]{64}/, "f".repeat(64));

it("a preview with hops connects to each node once", async () => {
  const connected: string[] = [];
  const own = createHarness(undefined, { probeMs: 5_000 }, (connection) => {
    connected.push(connection.node ?? connection.endpoint);
    return connectActor(connection);
  });
  const { failures } = await own.provider.check(urn, {}, hopInputs(cluster, names, "v1.12.11"));
  expect(failures).toEqual([]);
  expect(connected.sort()).toEqual(cluster.nodes.map(({ address }) => address).sort());
});

describe("images of a rollout through several minor releases", () => {
  it("are checked before the first node changes, those of later hops and the last one too", async () => {
    const { nodes, hops, ...shared } = hopInputs(cluster, names, "v1.12.11");
    const { ways, nodes: turns } = hops as { ways: Record<string, Properties[]>; nodes: Properties };
    const way = (ways["default"] ?? []).map((hop) =>
      hop["talosVersion"] === "v1.11.6" ? { ...hop, image: missing(String(hop["image"])) } : hop,
    );
    const all = nodes as Record<string, Properties>;
    const w2 = { ...all["w2"], image: missing(String(all["w2"]?.["image"])) };
    const inputs = { ...shared, nodes: { ...all, w2 }, hops: { ways: { default: way }, nodes: turns } };
    const { message } = await expectFailure(patient().provider.create(urn, inputs));
    expect(message).toMatch(/^the rollout did not start: \d of 3 nodes/);
    expect(message).toMatch(/could not pull \S+f{64}:v1\.11\.6: .*\[image-not-found\]/);
    expect(message).toMatch(/w2 .*could not pull \S+f{64}:v1\.12\.11: .*\[image-not-found\]/);
    expect(message).toMatch(/has upgraded or rebooted no node/);
    expect(upgrades()).toEqual([0, 0, 0]);
  });

  it("are pulled by one node each, and by none with prePull: false", async () => {
    const imagesBeforeHops = async (prePull: boolean): Promise<string[]> => {
      const own = patient();
      const work = own.provider.create(urn, hopInputs(cluster, names, "v1.12.11", { prePull }));
      const failed = expectFailure(work);
      while (!own.info.some((line) => line.startsWith("hop to v1.10.9")))
        await new Promise((resolve) => setTimeout(resolve, 5));
      await own.provider.cancel();
      await failed;
      return names
        .flatMap((name) => Object.keys(cluster.node(name).disk.images))
        .flatMap((image) => /:v1\.1[12]\./.exec(image)?.[0] ?? [])
        .sort();
    };
    expect(await imagesBeforeHops(false)).toEqual([]);
    expect(await imagesBeforeHops(true)).toEqual([":v1.11.", ":v1.12."]);
  });
});
