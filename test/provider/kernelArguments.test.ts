import { parse, stringify } from "yaml";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SimulatedNode } from "../../lab/node/node.ts";
import type { Properties } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import type { ApplyMode } from "../../talos/api/talosClient.ts";
import { schematicId } from "../../talos/schematic.ts";
import { expectFailure, createHarness, inputsFor, urn } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

const preflightUrn = urn.replace("NodeUpgrade", "RolloutPreflight");
const extraKernelArgs = ["pcie_aspm=off", "net.ifnames=0"];
const schematic = {
  customization: {
    extraKernelArgs,
    systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools"] },
  },
};
const loses = (name: string): RegExp =>
  new RegExp(
    `${name} \\([\\d.]+\\)(?:, w\\d \\([\\d.]+\\))*, step "guard": the upgrade would lose the kernel arguments pcie_aspm=off of ` +
      "machine\\.install\\.extraKernelArgs: the node boots with GRUB.*" +
      'image\\.schematic\\.customization\\.extraKernelArgs: \\["pcie_aspm=off", "net\\.ifnames=0"\\].*' +
      "machine\\.install\\.grubUseUKICmdline: true",
  );

let cluster: SimulatedCluster;
const start = async (subnet: string, version: string): Promise<void> => {
  cluster = await SimulatedCluster.start({
    subnet,
    version,
    workers: 3,
    kernelArgs: {
      w1: { bootloader: "grub", extraKernelArgs },
      w2: { bootloader: "sd-boot", extraKernelArgs },
      w3: { bootloader: "grub", extraKernelArgs },
    },
  });
  await fetch(`${cluster.factory.url}/schematics`, { method: "POST", body: stringify(schematic) });
};

/** What an upgrade or its preparation would change. */
const touched = (node: SimulatedNode): unknown => {
  const { version, boots, installs, upgrades } = node.snapshot();
  return { version, boots: boots.length, installs, upgrades, images: Object.keys(node.disk.images) };
};
const argumentsOf = (name: string): readonly string[] => cluster.node(name).snapshot().kernelArgs;

/** Inputs whose schematic has the arguments. */
const withSchematic = (name: string): Properties => {
  const id = schematicId(schematic);
  const image = cluster.image("v1.13.9").replace(/\/[0-9a-f]{64}:/, `/${id}:`);
  return inputsFor(cluster, name, { schematicId: id, image });
};

function preflightInputs(): Properties {
  const nodes = cluster.nodes.map(({ name }) => {
    const { node, role, talosVersion, image, extensions, services, files } = inputsFor(cluster, name);
    return { name, node, role, talosVersion, image, extensions, services, files };
  });
  const {
    schematicId: id,
    controlPlanes,
    clientConfiguration,
    drain,
    timeoutSeconds,
  } = inputsFor(cluster, "cp1");
  return { nodes, schematicId: id, controlPlanes, clientConfiguration, drain, timeoutSeconds };
}

/** The second step: removes the arguments from the configuration and lets GRUB use the image's. */
async function moveArguments(name: string, mode: ApplyMode): Promise<void> {
  const node = cluster.node(name);
  const config = parse(node.disk.config ?? "") as { machine: { install: Record<string, unknown> } };
  delete config.machine.install["extraKernelArgs"];
  config.machine.install["grubUseUKICmdline"] = true;
  const client = connectActor({ endpoint: node.address, credentials: cluster.credentials });
  try {
    await client.applyConfiguration({ data: stringify(config), mode });
  } finally {
    client.close();
  }
}

describe("kernel arguments in the machine configurations, on 1.13", () => {
  beforeAll(async () => start("127.50.1", "v1.13.5"));
  afterAll(async () => cluster?.stop());

  it("stop the rollout before anything is disturbed if a node boots with GRUB", async () => {
    const before = cluster.nodes.map(touched);
    const { message } = await expectFailure(createHarness().provider.create(preflightUrn, preflightInputs()));
    expect(message).toMatch(/2 of 4 nodes .*\[rollout-refused\]/);
    expect(message).toMatch(loses("w1"));
    expect(message).toMatch(loses("w3"));
    expect(message).not.toMatch(/w2 \(|cp1 \(/);
    expect(cluster.nodes.map(touched)).toEqual(before);
  });

  it("are reported in the preview", async () => {
    const own = createHarness();
    await own.provider.check(preflightUrn, {}, preflightInputs());
    const warnings = own.warnings.join("\n");
    expect(warnings).toMatch(loses("w1"));
    expect(warnings).toMatch(loses("w3"));
    expect(warnings).not.toMatch(/refused right now: (w2|cp1) /);
  });

  it("stop a single node's upgrade, even with the arguments in the schematic", async () => {
    for (const inputs of [inputsFor(cluster, "w1"), withSchematic("w1")]) {
      const before = touched(cluster.node("w1"));
      const { message } = await expectFailure(createHarness().provider.create(urn, inputs));
      expect(message).toMatch(loses("w1"));
      expect(touched(cluster.node("w1"))).toEqual(before);
    }
    expect(argumentsOf("w1")).toEqual(extraKernelArgs);
  });

  it("do not stop a node that boots with systemd-boot, which ignores them", async () => {
    await createHarness().provider.create(urn, inputsFor(cluster, "w2"));
    expect(cluster.node("w2").version).toBe("v1.13.9");
  });

  it("survive the upgrade once the schematic has them and GRUB uses the image's arguments", async () => {
    await moveArguments("w1", "NO_REBOOT");
    await createHarness().provider.create(urn, withSchematic("w1"));
    expect(cluster.node("w1").version).toBe("v1.13.9");
    expect(argumentsOf("w1")).toEqual(extraKernelArgs);
  });

  it("stop the upgrade while the configuration without them is only staged", async () => {
    await moveArguments("w3", "STAGED");
    const { message } = await expectFailure(createHarness().provider.create(urn, withSchematic("w3")));
    expect(message).toMatch(
      /would lose the kernel arguments pcie_aspm=off .*is staged: reboot the node first/,
    );
    cluster.node("w3").powerCut("reboot");
    await new Promise((resolve) => setTimeout(resolve, 50));
    await cluster.ready();
    await createHarness().provider.create(urn, withSchematic("w3"));
    expect(argumentsOf("w3")).toEqual(extraKernelArgs);
  });
});

describe("kernel arguments in the machine configurations, on 1.12", () => {
  beforeAll(async () => start("127.50.2", "v1.12.7"));
  afterAll(async () => cluster?.stop());

  it("stop several minor releases at once before the first hop, which the preview shows", async () => {
    const of = (version: string) => {
      const { image, extensions, services, files } = inputsFor(cluster, "w1", { talosVersion: version });
      return { talosVersion: version, image, extensions, services, files };
    };
    const { nodes, ...shared } = preflightInputs();
    const each = (make: (node: { name: string }) => Properties): Properties =>
      Object.fromEntries((nodes as { name: string }[]).map((node) => [node.name, make(node)]));
    const inputs = {
      ...shared,
      nodes: each(({ name: _name, ...node }) => ({ ...node, ...of("v1.14.1") })),
      hops: {
        ways: { default: [of("v1.13.9")] },
        nodes: each(() => ({ way: "default", after: [] })),
      },
    } as Properties;
    const before = cluster.nodes.map(touched);
    const own = createHarness();
    await own.provider.check(preflightUrn, {}, inputs);
    const { message } = await expectFailure(createHarness().provider.create(preflightUrn, inputs));
    for (const text of [own.warnings.join("\n"), message]) {
      expect(text).toMatch(
        /w1 .*on the hop from v1\.13\.9 to v1\.14\.1: .*lose the kernel arguments pcie_aspm=off/,
      );
      expect(text).not.toMatch(/(w2|cp1) \([\d.]+\).*lose the kernel arguments/);
    }
    // The configuration may still change before the first hop.
    const readiness = preflightUrn.replace("RolloutPreflight", "RolloutReadiness");
    await createHarness().provider.create(readiness, inputs);
    expect(cluster.nodes.map(touched)).toEqual(before);
  });

  it("are carried over by the older API", async () => {
    await createHarness().provider.create(urn, inputsFor(cluster, "w1"));
    expect(cluster.node("w1").version).toBe("v1.13.9");
    expect(argumentsOf("w1")).toEqual(extraKernelArgs);
  });
});
