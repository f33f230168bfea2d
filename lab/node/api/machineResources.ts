import { builtInModules, loadableModules } from "../disk/files.ts";
import type { Machine } from "../machine/machine.ts";
import type { ResourceContent } from "../machine/resourceContent.ts";
import type { ResourceType } from "./resourceType.ts";

const stages = [
  "unknown",
  "booting",
  "installing",
  "maintenance",
  "running",
  "rebooting",
  "shutting down",
  "resetting",
  "upgrading",
];

const same = (id: string, spec: object): ResourceContent => ({ id, spec, message: spec });

const diskSize = 107_374_182_400;

/** The resources of a single machine. */
export const machineTypes: ResourceType[] = [
  {
    type: "MachineStatuses.runtime.talos.dev",
    namespace: "runtime",
    codec: "MachineStatus",
    columns: [
      ["Stage", "{.stage}"],
      ["Ready", "{.status.ready}"],
    ],
    contents: ({ boot }) => {
      if (boot === undefined) return [];
      const status = { ready: boot.ready, unmetConditions: boot.unmet };
      return [
        {
          id: "machine",
          spec: { stage: boot.stage, status },
          message: { stage: stages.indexOf(boot.stage), status },
        },
      ];
    },
  },
  {
    type: "Versions.runtime.talos.dev",
    namespace: "runtime",
    codec: "Version",
    columns: [["Version", "{.version}"]],
    // Since 1.10.
    contents: (node) =>
      node.minor() < 10 ? [] : [same("version", { name: "Talos", version: node.version })],
  },
  {
    type: "ExtensionStatuses.runtime.talos.dev",
    namespace: "runtime",
    codec: "Extension",
    aliases: ["extensions"],
    columns: [
      ["Name", "{.metadata.name}"],
      ["Version", "{.metadata.version}"],
    ],
    contents: extensionStatuses,
  },
  {
    type: "ImageFactorySchematics.runtime.talos.dev",
    namespace: "runtime",
    since: "1.14.0-0",
    columns: [["Schematic ID", "{.schematicId}"]],
    contents: ({ boot }) =>
      boot?.image.schematic === undefined
        ? []
        : [
            {
              id: "image-factory-schematic",
              spec: {
                schematicId: boot.image.schematic,
                flavor: "",
                apiUrl: factoryUrl(boot.image.reference),
              },
            },
          ],
  },
  {
    type: "Services.v1alpha1.talos.dev",
    namespace: "runtime",
    codec: "Service",
    aliases: ["svc"],
    columns: [
      ["Running", "{.running}"],
      ["Healthy", "{.healthy}"],
      ["Health Unknown", "{.unknown}"],
    ],
    // A service that isn't running has none (siderolabs/talos v1.13 controllers/v1alpha1/service.go).
    contents: ({ boot }) =>
      (boot?.services.list() ?? [])
        .filter(({ state }) => state === "Running")
        .map(({ id, healthy }) =>
          same(id, { running: true, healthy: healthy === true, unknown: healthy === undefined }),
        ),
  },
  {
    type: "SecurityStates.talos.dev",
    namespace: "runtime",
    codec: "SecurityState",
    columns: [["SecureBoot", "{.secureBoot}"]],
    contents: (node) => {
      const bootedWithUki = node.disk.bootloader === "sd-boot" && node.minor() >= 10;
      const secureBoot = node.boot?.image.secureBoot ?? false;
      return [
        {
          id: "securitystate",
          spec: { secureBoot, ...(bootedWithUki ? { bootedWithUKI: true } : {}) },
          message: { secureBoot, bootedWithUki },
        },
      ];
    },
  },
  {
    type: "LoadedKernelModules.runtime.talos.dev",
    namespace: "runtime",
    codec: "LoadedKernelModule",
    aliases: ["module", "modules"],
    columns: [["State", "{.state}"]],
    until: "1.14.0-0",
    contents: (node) =>
      loadableModules(node).map((id) =>
        same(id, {
          size: 16384,
          referenceCount: 0,
          dependencies: [],
          state: "Live",
          address: "0x0000000000000000",
        }),
      ),
  },
  {
    type: "KernelModuleStatuses.runtime.talos.dev",
    namespace: "runtime",
    columns: [["Type", "{.type}"]],
    since: "1.14.0-0",
    contents: (node) => [
      ...builtInModules.map((id) => ({ id, spec: { type: "built-in" } })),
      ...loadableModules(node).map((id) => ({ id, spec: { type: "dynamic" } })),
    ],
  },
  {
    type: "KernelCmdlines.runtime.talos.dev",
    namespace: "runtime",
    codec: "KernelCmdline",
    aliases: ["cmdline"],
    columns: [["Cmdline", "{.cmdline}"]],
    contents: ({ boot }) => [
      same("cmdline", { cmdline: ["talos.platform=metal", ...(boot?.kernelArgs ?? [])].join(" ") }),
    ],
  },
  {
    type: "MetaKeys.runtime.talos.dev",
    namespace: "runtime",
    codec: "MetaKey",
    aliases: ["meta"],
    columns: [["Value", "{.value}"]],
    contents: ({ boot }) => [...(boot?.meta ?? [])].map(([id, value]) => same(id, { value })),
  },
  {
    type: "TimeStatuses.v1alpha1.talos.dev",
    namespace: "runtime",
    codec: "TimeStatus",
    columns: [["Synced", "{.synced}"]],
    contents: ({ faults }) => [
      same("node", { synced: !faults.has("clock-skewed"), epoch: 1, syncDisabled: false }),
    ],
  },
  {
    type: "Diagnostics.runtime.talos.dev",
    namespace: "runtime",
    codec: "Diagnostic",
    columns: [["Message", "{.message}"]],
    contents: () => [],
  },
  {
    type: "VolumeStatuses.block.talos.dev",
    namespace: "runtime",
    codec: "VolumeStatus",
    columns: [
      ["Type", "{.type}"],
      ["Phase", "{.phase}"],
      ["Location", "{.location}"],
      ["Size", "{.prettySize}"],
    ],
    contents: ({ disk }) =>
      disk.active === undefined
        ? []
        : [
            {
              id: "EPHEMERAL",
              spec: {
                phase: "ready",
                type: "partition",
                location: "/dev/sda4",
                parentLocation: "/dev/sda",
                size: diskSize,
                prettySize: "107 GB",
                filesystem: "xfs",
              },
              message: {
                phase: 6,
                location: "/dev/sda4",
                parentLocation: "/dev/sda",
                size: String(diskSize),
                prettySize: "107 GB",
                filesystem: 1,
              },
            },
          ],
  },
  {
    type: "Disks.block.talos.dev",
    namespace: "runtime",
    codec: "Disk",
    columns: [
      ["Size", "{.pretty_size}"],
      ["Read Only", "{.readonly}"],
      ["Transport", "{.transport}"],
      ["Model", "{.model}"],
      ["Serial", "{.serial}"],
    ],
    contents: ({ disk }) => {
      const serial = disk.uuid.slice(0, 8);
      return [
        {
          id: "sda",
          spec: {
            dev_path: "/dev/sda",
            size: diskSize,
            pretty_size: "107 GB",
            io_size: 512,
            sector_size: 512,
            readonly: false,
            cdrom: false,
            model: "LAB-DISK",
            serial,
            transport: "sata",
          },
          message: {
            devPath: "/dev/sda",
            size: String(diskSize),
            prettySize: "107 GB",
            ioSize: "512",
            sectorSize: "512",
            model: "LAB-DISK",
            serial,
            transport: "sata",
          },
        },
      ];
    },
  },
  {
    type: "LinkStatuses.net.talos.dev",
    namespace: "network",
    aliases: ["link", "links"],
    contents: ({ disk }) => [
      {
        id: "eth0",
        spec: { type: "ether", kind: "", driver: "virtio_net", hardwareAddr: hardwareAddress(disk.uuid) },
      },
      { id: "lo", spec: { type: "loopback", kind: "" } },
    ],
  },
  {
    type: "SystemDisks.block.talos.dev",
    namespace: "runtime",
    codec: "SystemDisk",
    columns: [["Disk", "{.diskID}"]],
    contents: ({ disk }) =>
      disk.active === undefined
        ? []
        : [
            {
              id: "system-disk",
              spec: { diskID: "sda", devPath: "/dev/sda" },
              message: { diskId: "sda", devPath: "/dev/sda" },
            },
          ],
  },
];

/** A QEMU-style MAC address, derived from the machine's UUID. */
function hardwareAddress(uuid: string): string {
  return ["52:54:00", ...(uuid.slice(0, 6).match(/../g) ?? [])].join(":");
}

function extensionStatuses(node: Machine): ResourceContent[] {
  const image = node.boot?.image;
  if (image === undefined) return [];
  const layers = node.extensions().map(({ name, version }) => ({
    image: `${name}.sqsh`,
    metadata: {
      name,
      version,
      author: "Sidero Labs",
      description: "",
      compatibility: { talos: { version: ">= v1.6.0" } },
    },
  }));
  const schematic =
    image.schematic === undefined
      ? []
      : [
          {
            image: "schematic.sqsh",
            metadata: {
              name: "schematic",
              version: image.schematic,
              author: "Image Factory",
              description:
                "Virtual extension which specifies the schematic of the image built with Image Factory.",
              compatibility: { talos: { version: "" } },
              extraInfo: image.schematicYaml ?? "",
            },
          },
        ];
  return [...layers, ...schematic].map((spec, index) => same(String(index), spec));
}

function factoryUrl(reference: string): string {
  return `https://${reference.split("/")[0] ?? ""}`;
}
