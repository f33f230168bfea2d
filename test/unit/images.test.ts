import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { schematicId, type Schematic } from "../../talos/schematic.ts";
import { diskImageUrl } from "../../talos/diskImage.ts";
import { iscsiSchematicId, runProgram } from "./components/program.ts";
import { ofType, onlyResource, valueOf } from "./components/recorder.ts";
import { withValues, parseOutcome, usualSettings } from "./settings/example.ts";
import { joviandss, synology } from "./csi/plainSettings.ts";

const iscsi = "siderolabs/iscsi-tools";
const gpu: Schematic = {
  customization: {
    systemExtensions: { officialExtensions: [iscsi, "siderolabs/nvidia-container-toolkit-lts"] },
  },
};
const pi: Schematic = {
  overlay: { image: "siderolabs/sbc-raspberrypi", name: "rpi_generic" },
  customization: { systemExtensions: { officialExtensions: [iscsi] } },
};
const bare: Schematic = { customization: {} };

/** Three control planes with the cluster's image, a GPU node, and a Raspberry Pi. */
function mixed(more: Record<string, unknown> = {}): Record<string, unknown> {
  return withValues(usualSettings(), {
    images: { gpu: { schematic: gpu }, pi: { schematic: pi, architecture: "arm64" } },
    "cluster.nodes[3].image": "gpu",
    "cluster.nodes[4].image": "pi",
    ...more,
  });
}

describe("images in the settings", () => {
  it("inherit what image sets", () => {
    const { settings, problems } = parseOutcome(
      mixed({ image: { factory: "https://factory.example.com", platform: "nocloud", secureBoot: true } }),
    );
    expect(problems).toEqual([]);
    expect(settings?.images).toEqual({
      gpu: {
        factory: "https://factory.example.com",
        platform: "nocloud",
        architecture: "amd64",
        secureBoot: true,
        schematic: gpu,
      },
      pi: {
        factory: "https://factory.example.com",
        platform: "nocloud",
        architecture: "arm64",
        secureBoot: true,
        schematic: pi,
      },
    });
    expect(settings?.cluster.nodes.map(({ image }) => image)).toEqual([
      ...[undefined, undefined, undefined],
      "gpu",
      "pi",
    ]);
  });

  it.each<[string, Record<string, unknown>, { path: string; reason: RegExp }[]]>([
    [
      "a node names one that is not there",
      { "cluster.nodes[3].image": "gpus" },
      [
        {
          path: "cluster.nodes[3].image",
          reason: /is gpus, but there is no images\.gpus; available: default, gpu, pi/,
        },
      ],
    ],
    [
      "one has no iscsi-tools",
      { "images.gpu.schematic": bare },
      [
        {
          path: "images.gpu.schematic.customization.systemExtensions.officialExtensions",
          reason: /has no siderolabs\/iscsi-tools/,
        },
      ],
    ],
    [
      "one has the name of image itself",
      { "images.default": { schematic: gpu } },
      [{ path: "images.default", reason: /default is reserved for image/ }],
    ],
    [
      "a schematic is none",
      { "images.pi.schematic": { overlays: {} } },
      [{ path: "images.pi.schematic.overlays", reason: /./ }],
    ],
    [
      "an architecture is unknown",
      { "images.pi.architecture": "riscv64" },
      [{ path: "images.pi.architecture", reason: /must be amd64 or arm64/ }],
    ],
    [
      "a key is misspelt",
      { "images.pi.schemtic": {} },
      [{ path: "images.pi.schemtic", reason: /Did you mean schematic\?/ }],
    ],
    [
      "the node's release is without an extension of its image",
      {
        "cluster.nodes[3].talosVersion": "v1.11.6",
        "images.gpu.schematic": {
          customization: { systemExtensions: { officialExtensions: [iscsi, "siderolabs/multipath-tools"] } },
        },
      },
      [{ path: "cluster.nodes[3].talosVersion", reason: /multipath-tools.*images\.gpu\.schematic/ }],
    ],
    [
      "an overlay is older than overlays are",
      { talosVersion: "v1.6.7", "images.gpu": undefined, "cluster.nodes[3].image": "pi" },
      [
        {
          path: "images.pi.schematic.overlay",
          reason: /needs Talos v1\.7 or newer; the factory cannot build v1\.6\.7/,
        },
      ],
    ],
  ])("are refused: %s", (_, change, wanted) => {
    const { problems } = parseOutcome(mixed(change));
    for (const { path, reason } of wanted)
      expect(problems).toContainEqual({ path, reason: expect.stringMatching(reason) as string });
    expect(problems).toHaveLength(wanted.length);
  });

  it("may lack iscsi-tools if every node that runs them has iscsi: false", () => {
    const change = { "images.gpu.schematic": bare, "cluster.nodes[3].iscsi": false };
    expect(parseOutcome(mixed(change)).problems).toEqual([]);
    const twice = mixed({ ...change, "cluster.nodes[4].image": "gpu" });
    expect(parseOutcome(twice).problems).toMatchObject([
      { path: "images.gpu.schematic.customization.systemExtensions.officialExtensions" },
    ]);
  });

  it("may lack iscsi-tools if no node runs them, image included", async () => {
    const unused = withValues(usualSettings(), {
      image: { schematic: bare },
      images: { storage: { schematic: gpu }, other: {} },
      ...Object.fromEntries([0, 1, 2, 3, 4].map((index) => [`cluster.nodes[${index}].image`, "storage"])),
    });
    expect(parseOutcome(unused).problems).toEqual([]);
    const { resources } = await runProgram(unused);
    expect(ofType(resources, "talos-node:index:NodeUpgrade")).toHaveLength(5);
    expect(parseOutcome(withValues(unused, { "cluster.nodes[4].image": undefined })).problems).toMatchObject([
      { path: "image.schematic.customization.systemExtensions.officialExtensions" },
    ]);
  });

  it("cause a warning if no node runs them", () => {
    const { settings } = parseOutcome(mixed({ "cluster.nodes[4].image": undefined }));
    expect(settings?.warnings).toContainEqual({ path: "images.pi", reason: "is not used by any node" });
  });
});

describe("an overlay for a single-board computer", () => {
  const warned = (change: Record<string, unknown>) =>
    parseOutcome(mixed(change)).settings?.warnings.filter(({ path }) => path.endsWith(".architecture"));

  it("causes a warning if the boot media would be for another architecture", () => {
    expect(warned({ "images.pi.architecture": undefined })).toEqual([
      {
        path: "images.pi.architecture",
        reason: expect.stringMatching(/is amd64, but the overlay rpi_generic is for arm64/) as string,
      },
    ]);
    expect(warned({})).toEqual([]);
    expect(warned({ "images.pi.architecture": undefined, image: { architecture: "arm64" } })).toEqual([]);
  });

  it("causes a warning if it inherits another platform or SecureBoot, which no board has", () => {
    const warnings = (change: Record<string, unknown>) =>
      parseOutcome(mixed(change)).settings?.warnings.filter(({ path }) => path.startsWith("images.pi."));
    expect(warnings({})).toEqual([]);
    expect(warnings({ image: { platform: "vmware", secureBoot: true } })).toEqual([
      {
        path: "images.pi.platform",
        reason: expect.stringMatching(/is vmware, but the overlay rpi_generic .* set it to metal/) as string,
      },
      {
        path: "images.pi.secureBoot",
        reason: expect.stringMatching(/is true, but the overlay rpi_generic .* set it to false/) as string,
      },
    ]);
    const own = { "images.pi.platform": "metal", "images.pi.secureBoot": false };
    expect(warnings({ image: { platform: "vmware", secureBoot: true }, ...own })).toEqual([]);
  });
});

describe("a program with several images", () => {
  it("registers each at its factory, with one provider per factory", async () => {
    const { resources } = await runProgram(mixed({ "images.pi.factory": "https://factory.example.com" }));
    const registered = ofType(resources, "talos:imageFactory/schematic:Schematic");
    expect(
      registered.map(({ name, provider, inputs }) => [
        name,
        provider,
        parse(String(inputs["schematic"])) as unknown,
      ]),
    ).toEqual([
      [
        "image-schematic",
        "image-factory",
        { customization: { systemExtensions: { officialExtensions: [iscsi] } } },
      ],
      ["image-gpu-schematic", "image-factory", gpu],
      ["image-pi-schematic", "image-pi-factory", pi],
    ]);
  });

  it("gives every node its own image in its configuration, its upgrade and the preflight", async () => {
    const { resources } = await runProgram(mixed());
    const upgrades = ofType(resources, "talos-node:index:NodeUpgrade");
    const ids = [iscsiSchematicId, iscsiSchematicId, iscsiSchematicId, schematicId(gpu), schematicId(pi)];
    expect(upgrades.map(({ inputs }) => inputs["schematicId"])).toEqual(ids);
    expect(upgrades.map(({ inputs }) => inputs["image"])).toEqual(
      ids.map((id) => `factory.talos.dev/metal-installer/${id}:v1.13.9`),
    );
    expect(upgrades[3]?.inputs["extensions"]).toEqual(["iscsi-tools", "nvidia-container-toolkit-lts"]);
    const preflight = onlyResource(resources, "talos-node:index:RolloutPreflight").inputs["nodes"] as object;
    expect(Object.values(preflight)).toMatchObject(
      ["default", "default", "default", "gpu", "pi"].map((imageName, index) => ({
        imageName,
        image: `factory.talos.dev/metal-installer/${ids[index]}:v1.13.9`,
      })),
    );
    const configured = ofType(resources, "talos-node:index:NodeConfiguration").map(({ inputs }) =>
      JSON.stringify(inputs["patches"]),
    );
    for (const [index, name] of ["cp1", "cp2", "cp3", "w1", "w2"].entries())
      expect(configured.find((text) => text.includes(`hostname: ${name}\\n`))).toContain(
        `metal-installer/${ids[index]}:v1.13.9`,
      );
  });

  it("applies no configuration before every factory has confirmed its schematic", async () => {
    const { resources } = await runProgram(mixed());
    for (const { after } of ofType(resources, "talos-node:index:NodeConfiguration"))
      expect(after).toEqual(
        expect.arrayContaining(["image-confirmed", "image-gpu-confirmed", "image-pi-confirmed"]),
      );
  });

  it("outputs each image's references, for its own architecture", async () => {
    const { result } = await runProgram(mixed());
    const table = await valueOf(result["images"] as pulumi.Output<Record<string, object>>);
    const id = schematicId(pi);
    expect(Object.keys(table)).toEqual(["default", "gpu", "pi"]);
    expect(table["default"]).toMatchObject({
      schematicId: iscsiSchematicId,
      architecture: "amd64",
      diskImageUrl: `https://factory.talos.dev/image/${iscsiSchematicId}/v1.13.9/metal-amd64.raw.xz`,
    });
    expect(table["pi"]).toEqual({
      schematicId: id,
      architecture: "arm64",
      installerImage: `factory.talos.dev/metal-installer/${id}:v1.13.9`,
      isoUrl: `https://factory.talos.dev/image/${id}/v1.13.9/metal-arm64.iso`,
      pxeUrl: `https://pxe.factory.talos.dev/pxe/${id}/v1.13.9/metal-arm64`,
      diskImageUrl: `https://factory.talos.dev/image/${id}/v1.13.9/metal-arm64.raw.xz`,
    });
  });

  it.each<[string, Record<string, unknown>, string]>([
    ["nodes", { "cluster.nodes[4].talosVersion": "v1.12.7" }, "v1.12.7"],
    [
      "pool",
      { "cluster.nodes[4]": { name: "w2", address: "10.0.0.22", role: "worker", pool: "edge" } },
      "v1.12.7",
    ],
    ["pool without nodes", { "cluster.nodes[4].image": undefined }, "v1.12.7"],
    [
      "stack if nodes differ",
      { "cluster.nodes[3].image": "pi", "cluster.nodes[4].talosVersion": "v1.12.7" },
      "v1.13.9",
    ],
  ])("outputs references to the release of an image's %s", async (_, change, release) => {
    const pools = { edge: { image: "pi", talosVersion: "v1.12.7" } };
    const { result } = await runProgram(
      mixed({
        "images.gpu": undefined,
        "cluster.nodes[3].image": undefined,
        "cluster.pools": pools,
        ...change,
      }),
    );
    const table = await valueOf(result["images"] as pulumi.Output<Record<string, { isoUrl: string }>>);
    expect(table["pi"]?.isoUrl).toContain(`/${release}/`);
    expect(table["default"]?.isoUrl).toContain("/v1.13.9/");
  });

  it("registers the same resources as earlier releases for a stack with one image", async () => {
    const { resources, result } = await runProgram(
      withValues(usualSettings(), { "image.platform": "metal" }),
    );
    const image = onlyResource(resources, "talos-iscsi:index:FactoryImage", "image");
    expect(Object.keys(image.inputs).sort()).toEqual([
      "factory",
      "platform",
      "schematic",
      "secureBoot",
      "talosVersion",
    ]);
    const byName = onlyResource(resources, "talos-node:index:RolloutPreflight").inputs["nodes"] as object;
    const [node] = Object.values(byName) as object[];
    expect(Object.keys(node ?? {}).sort()).toEqual(
      ["node", "role", "talosVersion", "image", "extensions", "services", "files"].sort(),
    );
    const cluster = onlyResource(resources, "talos-iscsi:index:TalosCluster").inputs["nodes"] as object[];
    expect(Object.keys(cluster[0] ?? {})).not.toContain("kernelModules");
    expect(result["images"]).toBeUndefined();
  });

  it("follows image.architecture for a single arm64 image", async () => {
    const { result } = await runProgram(withValues(usualSettings(), { "image.architecture": "arm64" }));
    expect(await valueOf(pulumi.output(result["isoUrl"]))).toMatch(/\/metal-arm64\.iso$/);
    expect(await valueOf(pulumi.output(result["pxeUrl"]))).toMatch(/\/metal-arm64$/);
  });
});

describe("a node without iSCSI", () => {
  const without = (more: Record<string, unknown> = {}) =>
    mixed({ "images.gpu.schematic": bare, "cluster.nodes[3].iscsi": false, joviandss, synology, ...more });

  it("needs no iSCSI service, file or extension, and loads no iSCSI module", async () => {
    const { resources } = await runProgram(without());
    const upgrade = onlyResource(resources, "talos-node:index:NodeUpgrade", "upgrade-w1").inputs;
    expect(upgrade).toMatchObject({
      extensions: [],
      services: [],
      files: [],
      schematicId: schematicId(bare),
    });
    const patches = ofType(resources, "talos-node:index:NodeConfiguration").map(({ inputs }) =>
      JSON.stringify(inputs["patches"]),
    );
    const withoutModule = patches.filter((text) => !text.includes("iscsi_tcp"));
    expect(withoutModule).toHaveLength(1);
    expect(withoutModule[0]).toMatch(/hostname: w1\b.*nodeLabels:.*talos-iscsi\/iscsi: \\*"false/);
  });

  it("gets no pod of a driver's node part", async () => {
    const { resources } = await runProgram(without());
    const sets = ofType(resources, "kubernetes:apps/v1:DaemonSet");
    expect(sets).toHaveLength(2);
    for (const { inputs } of sets)
      expect(affinityOf(inputs)).toEqual([
        { key: "talos-iscsi/iscsi", operator: "NotIn", values: ["false"] },
      ]);
    const workers = await runProgram(without({ "joviandss.node": { controlPlanes: false } }));
    expect(affinityOf(ofType(workers.resources, "kubernetes:apps/v1:DaemonSet")[0]?.inputs ?? {})).toEqual([
      { key: "node-role.kubernetes.io/control-plane", operator: "DoesNotExist" },
      { key: "talos-iscsi/iscsi", operator: "NotIn", values: ["false"] },
    ]);
  });

  it("does not change the drivers if every node has iSCSI", async () => {
    const { resources } = await runProgram(mixed({ joviandss }));
    expect(affinityOf(onlyResource(resources, "kubernetes:apps/v1:DaemonSet").inputs)).toBeUndefined();
  });
});

function affinityOf(daemonSet: Record<string, unknown>): unknown {
  const { spec } = daemonSet as { spec: { template: { spec: { affinity?: Affinity } } } };
  return spec.template.spec.affinity?.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution
    .nodeSelectorTerms[0]?.matchExpressions;
}

interface Affinity {
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: { matchExpressions: unknown }[] };
  };
}

describe("disk images", () => {
  it.each([
    ["metal", "metal-amd64.raw.xz"],
    ["vmware", "vmware-amd64.ova"],
    ["azure", "azure-amd64.vhd.xz"],
    ["gcp", "gcp-amd64.raw.tar.gz"],
    ["digital-ocean", "digital-ocean-amd64.raw.gz"],
    ["oracle", "oracle-amd64.qcow2"],
  ])("for %s have the factory's name %s", (platform, file) => {
    const spec = { factory: "https://factory.talos.dev", platform, secureBoot: false, version: "v1.13.9" };
    expect(diskImageUrl({ ...spec, schematicId: iscsiSchematicId })).toBe(
      `https://factory.talos.dev/image/${iscsiSchematicId}/v1.13.9/${file}`,
    );
  });

  it("do not exist for a platform that only boots over the network", () => {
    const spec = { factory: "https://factory.talos.dev", secureBoot: false, version: "v1.13.9" };
    expect(
      diskImageUrl({ ...spec, platform: "equinixMetal", schematicId: iscsiSchematicId }),
    ).toBeUndefined();
  });
});
