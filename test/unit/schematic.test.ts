import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  parseSchematic,
  schematicId,
  SchematicError,
  schematicYaml,
  type Schematic,
} from "../../talos/schematic.ts";

const extensions = (...names: string[]): Schematic => ({
  customization: { systemExtensions: { officialExtensions: names.map((name) => `siderolabs/${name}`) } },
});

describe("IDs from the factory", () => {
  // From the tests of siderolabs/image-factory and of its Terraform provider.
  test.each<[string, Schematic, string]>([
    ["nothing", { customization: {} }, "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba"],
    ["nothing at all", {}, "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba"],
    [
      "kernel arguments",
      { customization: { extraKernelArgs: ["noapic", "nolapic"] } },
      "9cba8e32753f91a16c1837ab8abf356af021706ef284aef07380780177d9a06c",
    ],
    [
      "meta",
      { customization: { meta: [{ key: 10, value: "foo" }] } },
      "d308a2a5ee2277bed5fbaa104fcbc8d59122abfa737df987a95b4ca763459a7f",
    ],
    [
      "an overlay",
      { overlay: { name: "rpi_generic", image: "siderolabs/sbc-raspberrypi" } },
      "ee21ef4a5ef808a9b7484cc0dda0f25075021691c8c09a276591eedb638ea1f9",
    ],
    [
      "kernel arguments, meta and extensions",
      {
        customization: {
          extraKernelArgs: ["noapic", "nolapic"],
          meta: [{ key: 10, value: "foo" }],
          ...extensions("amd-ucode", "intel-ucode").customization,
        },
      },
      "6ba13d510dcc57f233b9b498d34a3c919c1abdd5675b46ad53cf4f2e66362f82",
    ],
    [
      "a driver",
      extensions("amdgpu-firmware"),
      "d01dbf04a51b44a41d62b7c9692da0a74889277651600da6b602582654e4b402",
    ],
    [
      "the first seed",
      extensions("iscsi-tools"),
      "c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac",
    ],
    [
      "iscsi-tools, then util-linux-tools",
      extensions("iscsi-tools", "util-linux-tools"),
      "613e1592b2da41ae5e265e8789429f22e121aab91cb4deb6bc3c0b6262961245",
    ],
    [
      "the second seed: the other way round",
      extensions("util-linux-tools", "iscsi-tools"),
      "ffdc59f4fd5b62784876a03c3e31a81fbfecc871eaa7f27aca33b9f5ff1ec96e",
    ],
  ])("are reproduced: %s", (_, schematic, id) => {
    expect(schematicId(schematic)).toBe(id);
  });
});

test("the canonical form has the factory's key order, regardless of the object's order", () => {
  const id = schematicId({
    customization: {
      diskImage: { sectorSize: 4096 },
      secureboot: { includeWellKnownCertificates: true, enrollKeys: "off" },
      bootloader: "sd-boot",
      meta: [{ value: "a: b", key: 12 }],
      extraKernelArgs: ["console=ttyS0", "yes", "1e3", "a #b"],
      embeddedMachineConfiguration: "machine:\n  type: worker\n",
    },
    overlay: { options: { k10: [1, { b: [], a: null }], k9: 1.5 }, name: "board", image: "" },
  });
  const canonical = `overlay:
    image: ""
    name: board
    options:
        k9: 1.5
        k10:
            - 1
            - a: null
              b: []
customization:
    embeddedMachineConfiguration: |
        machine:
          type: worker
    extraKernelArgs:
        - console=ttyS0
        - "yes"
        - "1e3"
        - 'a #b'
    meta:
        - key: 12
          value: 'a: b'
    bootloader: sd-boot
    secureboot:
        enrollKeys: "off"
        includeWellKnownCertificates: true
    diskImage:
        sectorSize: 4096
`;
  expect(id).toBe(createHash("sha256").update(canonical).digest("hex"));
});

test("empty values count as absent", () => {
  const empty: unknown = {
    owner: "",
    overlay: { image: "", options: {} },
    customization: {
      extraKernelArgs: [],
      meta: null,
      systemExtensions: { officialExtensions: [] },
      bootloader: "none",
      secureboot: { includeWellKnownCertificates: false },
      diskImage: { sectorSize: 0 },
    },
  };
  expect(schematicId(parseSchematic(empty))).toBe(schematicId({}));
});

test("text that the canonical YAML cannot represent is registered in another form", () => {
  const schematic: Schematic = { customization: { extraKernelArgs: [" a\nb"] } };
  expect(schematicId(schematic)).toBe(
    createHash("sha256")
      .update("customization:\n    extraKernelArgs:\n        - |4-\n           a\n          b\n")
      .digest("hex"),
  );
  expect(schematicYaml(schematic)).toContain('- " a\\nb"');
});

describe("an invalid schematic", () => {
  test("has every problem listed", () => {
    const wrong: unknown = {
      customisation: {},
      overlay: { image: 7, options: { when: new Date(0), list: [1, undefined, () => 1] } },
      customization: {
        extraKernelArgs: "quiet",
        meta: [{ key: 256, value: "x" }, { key: "10", value: "x" }, { value: "x" }, "10=x"],
        systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools", 1], officialExtension: [] },
        bootloader: "auto",
        secureboot: { enrollKeys: "always", includeWellKnownCertificates: "yes" },
        diskImage: { sectorSize: 512.5 },
        embeddedMachineConfiguration: "\ud800",
      },
    };
    const problems = problemsOf(wrong);
    expect(problems.map(({ path }) => path).sort()).toEqual(
      [
        "customisation",
        "overlay.image",
        "overlay.options.when",
        "overlay.options.list[1]",
        "overlay.options.list[2]",
        "customization.extraKernelArgs",
        "customization.meta[0].key",
        "customization.meta[1].key",
        "customization.meta[2].key",
        "customization.meta[3]",
        "customization.systemExtensions.officialExtensions[1]",
        "customization.systemExtensions.officialExtension",
        "customization.bootloader",
        "customization.secureboot.enrollKeys",
        "customization.secureboot.includeWellKnownCertificates",
        "customization.diskImage.sectorSize",
        "customization.embeddedMachineConfiguration",
      ].sort(),
    );
    expect(problems.find(({ path }) => path === "customization.bootloader")?.reason).toBe(
      'must be one of none, dual-boot, sd-boot, grub, not "auto"',
    );
    expect(problems.find(({ path }) => path === "customisation")?.reason).toBe(
      "is not a known key; known keys: owner, overlay, customization",
    );
  });

  test.each([null, undefined, "customization: {}", [], 1])("is refused: %j", (value) => {
    expect(problemsOf(value)).toHaveLength(1);
  });

  test("is one with numbers that would lose digits; other numbers are exact", () => {
    const option = (value: number | bigint): Schematic => ({ overlay: { name: "n", options: { value } } });
    expect(problemsOf(option(2 ** 53))).toEqual([
      { path: "overlay.options.value", reason: "is too large to be an exact number; write it as text" },
    ]);
    expect(problemsOf(option(2n ** 64n))).toHaveLength(1);
    expect(schematicYaml(option(2n ** 64n - 1n))).toContain("value: 18446744073709551615\n");
    expect(schematicYaml(option(2 ** 53 - 1))).toContain("value: 9007199254740991\n");
    expect(schematicYaml(option(1e21))).toContain("value: 1e+21\n");
    expect(schematicYaml(option(-0))).toContain("value: 0\n");
  });

  test("is also refused by schematicId", () => {
    expect(() => schematicId({ customization: { extensions: [] } } as Schematic)).toThrow(SchematicError);
  });
});

function problemsOf(value: unknown): readonly { path: string; reason: string }[] {
  try {
    parseSchematic(value);
  } catch (error) {
    if (error instanceof SchematicError) return error.problems;
    throw error;
  }
  return [];
}
