import { afterEach, describe, expect, it } from "vitest";
import { failureOf, harness, inputsFor, urn } from "./nodeUpgradeHarness.ts";
import { iscsiSchematicId, SimulatedCluster } from "./simulatedCluster.ts";

let cluster: SimulatedCluster | undefined;
afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

async function oneNode(version: string): Promise<SimulatedCluster> {
  cluster = await SimulatedCluster.start({ subnet: "127.44.1", version });
  return cluster;
}

describe("a node is taken to the wanted image", () => {
  it.each([
    ["v1.12.7", "v1.13.9", "legacy"],
    ["v1.13.8", "v1.13.9", "lifecycle"],
  ])("from %s to %s, by the API that its server has (%s)", async (from, to, via) => {
    const { nodes, ...rest } = await oneNode(from);
    const { provider, info } = harness();
    const { outs } = await provider.create(
      urn,
      inputsFor(Object.assign(cluster!, rest), "cp1", { talosVersion: to }),
    );

    const snapshot = nodes[0]!.snapshot();
    expect(snapshot).toMatchObject({ version: to, schematic: iscsiSchematicId, upgrades: 1, reboots: 1 });
    expect(snapshot.installs.map((install) => install.via)).toEqual([via]);
    expect(outs).toMatchObject({
      runningVersion: to,
      runningSchematic: iscsiSchematicId,
      installedExtensions: ["iscsi-tools"],
      initiatorName: snapshot.initiatorName,
    });
    expect(info).toEqual([
      expect.stringMatching(/^cp1 \(127\.44\.1\.11\) upgraded: runs v1\.13\.9 with schematic c9078f94/),
    ]);
  });
});
