import { stringify } from "yaml";
import { afterEach, describe, expect, it } from "vitest";
import { iscsiRequirements } from "../../talos/iscsi.ts";
import { schematicId } from "../../talos/schematic.ts";
import { createHarness, inputsFor, urn } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

// The factory builds a renamed extension under its new name, and the node lists that name.

let cluster: SimulatedCluster;
afterEach(async () => {
  await cluster.stop();
});

async function register(schematic: object): Promise<string> {
  const answer = await fetch(`${cluster.factory.url}/schematics`, {
    method: "POST",
    body: stringify(schematic),
  });
  return ((await answer.json()) as { id: string }).id;
}

describe("a schematic with an extension's old name", () => {
  it.each([
    ["amdgpu-firmware", "amdgpu"],
    ["i915-ucode", "i915"],
  ])("%s is verified on the node as %s, and later runs find nothing to do", async (old, today) => {
    cluster = await SimulatedCluster.start({ subnet: "127.63.7" });
    const schematic = {
      customization: {
        systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools", `siderolabs/${old}`] },
      },
    };
    expect(await register(schematic)).toBe(schematicId(schematic));
    const inputs = inputsFor(cluster, "cp1", {
      schematicId: schematicId(schematic),
      image: `${new URL(cluster.factory.url).host}/metal-installer/${schematicId(schematic)}:v1.13.9`,
      extensions: iscsiRequirements(schematic, "v1.13.9").extensions,
    });
    const { provider, warnings } = createHarness();
    const { id, outs } = await provider.create(urn, inputs);
    expect(outs).toMatchObject({ installedExtensions: [today, "iscsi-tools"] });

    await provider.update(id, urn, outs, { ...inputs, timeoutSeconds: 9 });
    expect(cluster.node("cp1").snapshot()).toMatchObject({ upgrades: 1, reboots: 1 });
    const read = await provider.read(id, urn, outs);
    expect(read.inputs?.["extensions"]).toEqual(["iscsi-tools", old]);
    expect(warnings).toEqual([]);
  });
});
