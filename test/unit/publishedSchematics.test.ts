import { expect, test } from "vitest";
import { parse } from "yaml";
import { parseSchematic, schematicId } from "../../talos/schematic.ts";

const extensions = (...names: string[]): string =>
  `customization: { systemExtensions: { officialExtensions: [${names.map((name) => `siderolabs/${name}`).join(", ")}] } }`;
const overlay = (image: string, name: string): string =>
  `overlay: { image: siderolabs/${image}, name: ${name} }\ncustomization: {}`;

/**
 * Schematics whose owners published the ID. The boards' come from Talos's own pages for single-board computers (siderolabs/talos
 * v1.10.0 website). Those with extensions and kernel arguments come from people's repositories, next to their download addresses.
 */
test.each<[string, string, string]>([
  [
    "Banana Pi M64",
    overlay("sbc-allwinner", "bananapi_m64"),
    "8e11dcb3c2803fbe893ab201fcadf1ef295568410e7ced95c6c8b122a5070ce4",
  ],
  [
    "Libre Computer H3, CC, H5",
    overlay("sbc-allwinner", "libretech_all_h3_cc_h5"),
    "5689d7795f91ac5bf6ccc85093fad8f8b27f6ea9d96a9ac5a059997bffd8ad5c",
  ],
  [
    "Pine64",
    overlay("sbc-allwinner", "pine64"),
    "185431e0f0bf34c983c6f47f4c6d3703aa2f02cd202ca013216fd71ffc34e175",
  ],
  [
    "Jetson Nano",
    overlay("sbc-jetson", "jetson_nano"),
    "c7d6f36c6bdfb45fd63178b202a67cff0dd270262269c64886b43f76880ecf1e",
  ],
  [
    "NanoPi R4S",
    overlay("sbc-rockchip", "nanopi-r4s"),
    "5f74a09891d5830f0b36158d3d9ea3b1c9cc019848ace08ff63ba255e38c8da4",
  ],
  [
    "Pine64 Rock64",
    overlay("sbc-rockchip", "rock64"),
    "0e162298269125049a51ec0a03c2ef85405a55e1d2ac36a7ef7292358cf3ce5a",
  ],
  [
    "Rock Pi 4",
    overlay("sbc-rockchip", "rockpi4"),
    "25d2690bb48685de5939edd6dee83a0e09591311e64ad03c550de00f8a521f51",
  ],
  [
    "Rock Pi 4C",
    overlay("sbc-rockchip", "rockpi4c"),
    "08e72e242b71f42c9db5bed80e8255b2e0d442a372bc09055b79537d9e3ce191",
  ],
  [
    "Raspberry Pi",
    overlay("sbc-raspberrypi", "rpi_generic"),
    "ee21ef4a5ef808a9b7484cc0dda0f25075021691c8c09a276591eedb638ea1f9",
  ],
  [
    "virtual machines of Proxmox",
    extensions("qemu-guest-agent"),
    "ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515",
  ],
  [
    "machines of Hetzner and Oracle with a mesh network",
    extensions("tailscale"),
    "4a0d65c669d46663f377e7161e50cfd570c401f26fd9e7bda34a0216b6f1922b",
  ],
  [
    "machines of CloudStack with NFS",
    extensions("btrfs", "nfs-utils", "nfsd", "nfsrahead", "qemu-guest-agent"),
    "23ff67af89fd08e5703f919f9b58c5a4a6de2540b1f8ca83379e19321560b1bf",
  ],
  [
    "Intel workers with iSCSI",
    extensions(
      ...["i915", "intel-ucode", "iscsi-tools", "util-linux-tools", "nfs-utils", "qemu-guest-agent"],
      "tailscale",
    ),
    "bb2bf97151447e3e0b8e3b0726805f1050a59e4e780b366211ba71bc19c07a7c",
  ],
  [
    "a kernel argument that names the configuration's source",
    "customization: { extraKernelArgs: [talos.config=metal-iso] }",
    "d0b273850841b13d0193fbfb0597bac2ca30387b8a0797a43238ecafc72ed329",
  ],
  [
    "a META value",
    "customization: { meta: [{ key: 10, value: foo }] }",
    "d308a2a5ee2277bed5fbaa104fcbc8d59122abfa737df987a95b4ca763459a7f",
  ],
  [
    "well-known certificates for SecureBoot",
    "customization: { secureboot: { includeWellKnownCertificates: true } }",
    "fa8e05f142a851d3ee568eb0a8e5841eaf6b0ebc8df9a63df16ac5ed2c04f3e6",
  ],
  [
    "disks with sectors of 4096 bytes",
    "customization: { diskImage: { sectorSize: 4096 } }",
    "92833e9ddd9bb9e11b2464fa5525429f01866306d52ebd882ee08d7918f6d1ea",
  ],
])("the published ID of %s is reproduced", (_, yaml, id) => {
  expect(schematicId(parseSchematic(parse(yaml) as Record<string, unknown>))).toBe(id);
});
