import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments, stringify } from "yaml";
import { findMissingHardware } from "../../../talos/hardware/missingHardware.ts";
import { namedHardware } from "../../../talos/hardware/named.ts";
import type { Hardware } from "../../../talos/hardware/reported.ts";

const hardware: Hardware = {
  disks: [
    {
      id: "sda",
      isSystemDisk: true,
      fields: {
        dev_path: "/dev/sda",
        size: 64e9,
        pretty_size: "64 GB",
        model: "WDC WD640",
        transport: "sata",
        rotational: true,
        symlinks: ["/dev/disk/by-id/ata-WDC_WD640"],
      },
    },
    {
      id: "nvme0n1",
      isSystemDisk: false,
      fields: { dev_path: "/dev/nvme0n1", size: 32e9, pretty_size: "32 GB", transport: "nvme" },
    },
    { id: "loop0", isSystemDisk: false, fields: { dev_path: "/dev/loop0", size: 7e7, readonly: true } },
  ],
  links: [
    {
      id: "enp1s0",
      fields: {
        type: "ether",
        kind: "",
        hardwareAddr: "52:54:00:12:34:56",
        driver: "virtio_net",
        altNames: ["lan"],
      },
    },
    { id: "lo", fields: { type: "loopback" } },
    { id: "cilium_host", fields: { type: "ether", kind: "veth" } },
  ],
};
/** Hardware in a configuration that the machine does not have. */
const misfitsOf = (configuration: string, machine = hardware): string[] => {
  const documents = parseAllDocuments(configuration).map((document) => document.toJS() as object);
  return findMissingHardware(namedHardware(documents as Record<string, unknown>[]), machine);
};

const disks = "the node has sda 64 GB, nvme0n1 32 GB.";
const links = "the node has enp1s0 (52:54:00:12:34:56, virtio_net).";

const alias = (match: string, name = "net0") =>
  [
    { kind: "LinkAliasConfig", name, selector: { match } },
    { kind: "LinkConfig", name: name.replace("%d", "0") },
  ]
    .map((document) => stringify(document))
    .join("---\n");
const install = (value: object) => stringify({ machine: { install: value } });
const interfaces = (...value: object[]) => stringify({ machine: { network: { interfaces: value } } });
const volume = (match: string) =>
  stringify({
    apiVersion: "v1alpha1",
    kind: "UserVolumeConfig",
    name: "data",
    provisioning: { diskSelector: { match }, minSize: "10GB" },
  });

describe("hardware that a configuration names", () => {
  it.each<[string, string]>([
    [install({ disk: "/dev/sdb" }), `machine.install.disk: there is no disk /dev/sdb; ${disks}`],
    [
      install({ disk: "/dev/disk/by-id/ata-OTHER" }),
      `machine.install.disk: there is no disk /dev/disk/by-id/ata-OTHER; ${disks}`,
    ],
    [
      install({ disk: "/dev/sda", diskSelector: { size: ">= 100GB" } }),
      `machine.install.diskSelector: no disk matches \`size: >= 100GB\`; ${disks}`,
    ],
    ...["> 100gb", "100 gib", "== 1t", ">= 90Gi", "64.5gb"].map((size): [string, string] => [
      install({ diskSelector: { size } }),
      `machine.install.diskSelector: no disk matches \`size: ${size}\`; ${disks}`,
    ]),
    [
      install({ diskSelector: { type: "nvme", model: "Samsung*" } }),
      `machine.install.diskSelector: no disk matches \`type: nvme, model: Samsung*\`; ${disks}`,
    ],
    [
      stringify({ machine: { disks: [{ device: "/dev/sdc" }] } }),
      `machine.disks[0].device: there is no disk /dev/sdc; ${disks}`,
    ],
    [
      volume("disk.size >= 100u * GB"),
      `UserVolumeConfig data: no disk matches \`disk.size >= 100u * GB\`; ${disks}`,
    ],
    [
      volume('disk.transport == "nvme" && disk.size > 40u * GiB'),
      `UserVolumeConfig data: no disk matches \`disk.transport == "nvme" && disk.size > 40u * GiB\`; ${disks}`,
    ],
    [
      stringify({
        kind: "UnattendedInstallConfig",
        provisioning: { diskSelector: { match: 'glob("Samsung*", disk.model)' } },
      }),
      `UnattendedInstallConfig: no disk matches \`glob("Samsung*", disk.model)\`; ${disks}`,
    ],
    [
      interfaces({ interface: "eth0", dhcp: true }),
      `machine.network.interfaces[0]: there is no link eth0; ${links}`,
    ],
    [
      interfaces({ deviceSelector: { driver: "ice" } }),
      `machine.network.interfaces[0].deviceSelector: no link matches \`driver: ice\`; ${links}`,
    ],
    [
      interfaces({ interface: "bond0", bond: { interfaces: ["enp1s0", "enp2s0"] } }),
      `machine.network.interfaces[0].bond.interfaces: there is no link enp2s0; ${links}`,
    ],
    [
      stringify({ kind: "Layer2VIPConfig", name: "10.0.0.10", link: "eno1" }),
      `Layer2VIPConfig 10.0.0.10, link: there is no link eno1; ${links}`,
    ],
    [
      install({ diskSelector: { type: "ssd", size: ">= 60MB", model: "?*" } }),
      `machine.install.diskSelector: no disk matches \`type: ssd, size: >= 60MB, model: ?*\`; ${disks}`,
    ],
    [
      stringify({ kind: "HCloudVIPConfig", name: "10.0.0.10", link: "eno1", apiToken: "secret" }),
      `HCloudVIPConfig 10.0.0.10, link: there is no link eno1; ${links}`,
    ],
    [
      stringify({ kind: "BridgeConfig", name: "br0", links: ["enp1s0", "eno2"] }),
      `BridgeConfig br0, links: there is no link eno2; ${links}`,
    ],
    [
      stringify({ kind: "VLANConfig", name: "vlan7", parent: "eno3" }),
      `VLANConfig vlan7, parent: there is no link eno3; ${links}`,
    ],
    [
      alias('mac(link.hardware_addr) == "00:1a:2b:3c:4d:5e" || link.driver == "ice"'),
      `LinkAliasConfig net0: no link matches \`mac(link.hardware_addr) == "00:1a:2b:3c:4d:5e" || link.driver == "ice"\`; ${links}`,
    ],
    [
      alias('glob("ice*", link.driver)', "net%d"),
      `LinkAliasConfig net%d: no link matches \`glob("ice*", link.driver)\`; ${links}`,
    ],
    [
      stringify({ kind: "BondConfig", name: "bond0", links: ["eno1"] }),
      `BondConfig bond0, links: there is no link eno1; ${links}`,
    ],
  ])("is missing: %s", (configuration, expected) => {
    expect(misfitsOf(configuration)).toEqual([expected]);
  });

  it.each([
    install({ disk: "/dev/sda" }),
    install({ disk: "/dev/disk/by-id/ata-WDC_WD640" }),
    install({ disk: "/dev/nowhere", diskSelector: { size: "<= 64GB", model: "WDC*" } }),
    install({ diskSelector: { name: "SD16G" } }),
    ["kind: VethConfig\nname: veth0\npeer: { name: veth1 }\n", "kind: LinkConfig\nname: veth1\n"].join(
      "---\n",
    ),
    volume("!system_disk"),
    volume('disk.transport == "nvme"'),
    volume('"/dev/disk/by-id/ata-WDC_WD640" in disk.symlinks'),
    // Only a newer Talos can judge these.
    volume("disk.zoned == true"),
    volume("no such language"),
    interfaces({ interface: "enp1s0" }, { interface: "lan" }, { interface: "lo" }),
    interfaces({ interface: "eth9", ignore: true }),
    interfaces({ interface: "bond0", bond: { interfaces: ["enp1s0"] } }, { interface: "bond0", dhcp: true }),
    interfaces({ deviceSelector: { hardwareAddr: "52:54:00:*", driver: "virtio*" } }),
    interfaces({ deviceSelector: { physical: true } }),
    // VLANs of a selected link, and of one with a long name (siderolabs/talos nethelpers/vlan_test.go).
    interfaces(
      { deviceSelector: { driver: "virtio*" }, vlans: [{ vlanId: 7 }] },
      { interface: "br0", bridge: { interfaces: ["enp9s0.7"] } },
    ),
    interfaces(
      { interface: "enx12545f8c99cd", ignore: true, vlans: [{ vlanId: 25 }] },
      { interface: "br0", bridge: { interfaces: ["enx1ee6413.25"] } },
    ),
    // Not reported by the node: only links below /dev/disk are.
    stringify({ machine: { disks: [{ device: "/dev/mapper/data" }, { device: "/dev/md/data" }] } }),
    // Older releases do not report this field.
    interfaces({ deviceSelector: { permanentAddr: "52:54:00:00:00:01" } }),
    alias('glob("52:54:00:*", mac(link.hardware_addr)) && link.driver == "virtio_net"'),
    // Not reported by the node, or unknown to this program.
    alias('mac(link.permanent_addr) == "00:1a:2b:3c:4d:5e"'),
    alias("link.type == 1"),
    alias("link.speed_megabits > 1000", "net%d"),
    ["kind: LinkAliasConfig\nname: net%d\n", "kind: DHCPv4Config\nname: net0\n"].join("---\n"),
    ["kind: VLANConfig\nname: vlan7\nparent: enp1s0\n", "kind: LinkConfig\nname: vlan7\n"].join("---\n"),
  ])("fits: %s", (configuration) => {
    expect(misfitsOf(configuration)).toEqual([]);
  });

  // The machine has them only with its configuration.
  it.each([
    { machine: { sysfs: { "class.net.enp1s0.device.sriov_numvfs": "4" } } },
    { kind: "SysfsConfig", params: { "class.net.enp1s0.device.sriov_numvfs": "4" } },
  ])("fits if it may be a virtual function that the configuration creates: %j", (source) => {
    const used = interfaces({ interface: "enp1s0v0" }, { deviceSelector: { driver: "iavf" } });
    const whole = (document: object) =>
      [stringify(document), used, install({ disk: "/dev/sdb" })].join("---\n");
    expect(misfitsOf(whole(source))).toEqual([`machine.install.disk: there is no disk /dev/sdb; ${disks}`]);
    const none = JSON.parse(JSON.stringify(source).replace('"4"', '"0"')) as object;
    expect(misfitsOf(whole(none))).toHaveLength(3);
  });

  it.each([
    {
      machine: { udev: { rules: ['SUBSYSTEM=="net", ATTR{address}=="52:54:00:12:34:56", NAME="storage0"'] } },
    },
    {
      kind: "UdevRulesConfig",
      rules: ['SUBSYSTEM=="net", ATTR{dev_port}=="1", NAME:="storage$attr{dev_port}"'],
    },
  ])("fits if a udev rule gives a link its name: %j", (source) => {
    const rule = stringify(source);
    const names = (name: string) => misfitsOf([rule, interfaces({ interface: name })].join("---\n"));
    expect(names("storage0")).toEqual([]);
    expect(names("eno9")).toHaveLength(1);
  });

  // siderolabs/talos#10292
  it("cannot be selected for the installation if its transport is unknown, as behind some RAID controllers", () => {
    const raid = { dev_path: "/dev/sda", size: 480e9, pretty_size: "480 GB", model: "PERC H740P Adp" };
    const machine = { disks: [{ id: "sda", isSystemDisk: undefined, fields: raid }], links: [] };
    expect(misfitsOf(install({ diskSelector: { size: ">= 100GB" } }), machine)).toEqual([
      "machine.install.diskSelector: no disk matches `size: >= 100GB`: Talos skips disks without a transport (sda), so name one in machine.install.disk; the node has sda 480 GB.",
    ]);
    expect(misfitsOf(install({ diskSelector: { size: ">= 1TB" } }), machine)[0]).not.toContain("transport");
    expect(misfitsOf(install({ disk: "/dev/sda" }), machine)).toEqual([]);
  });

  it("is not a volume's disk if it is read-only, as Talos's own images are", () => {
    const one = { ...hardware, disks: hardware.disks.filter(({ id }) => id !== "nvme0n1") };
    expect(misfitsOf(volume("!system_disk"), one)).toEqual([
      "UserVolumeConfig data: no disk matches `!system_disk`; the node has sda 64 GB.",
    ]);
  });

  it.each(["system_disk", "!system_disk", 'system_disk || disk.transport == "nvme"'])(
    "may depend on the disk that Talos will be installed to: %s",
    (match) => {
      const waiting = {
        ...hardware,
        disks: hardware.disks.map((disk) => ({ ...disk, isSystemDisk: undefined })),
      };
      expect(misfitsOf(volume(match), waiting)).toEqual([]);
      expect(misfitsOf(volume(`(${match}) && disk.size > 1u * TB`), waiting)).toHaveLength(1);
    },
  );

  it("must not be an alias for one link whose selector matches several", () => {
    const card = (id: string) => ({ id, fields: { type: "ether", kind: "", driver: "ice" } });
    const machine = { disks: [], links: [card("eno1"), card("eno2")] };
    const configuration = alias('link.driver == "ice"');
    expect(misfitsOf(configuration, machine)).toEqual([
      'LinkAliasConfig net0: 2 links match `link.driver == "ice"`, but an alias must match exactly one; the node has eno1 (ice), eno2 (ice).',
    ]);
    expect(misfitsOf(alias('link.driver == "ice"', "net%d"), machine)).toEqual([]);
  });

  it("must not be selected several times for one address; VLANs and DHCP are no problem", () => {
    const hardwareAddr = "52:54:00:00:00:01";
    const card = (id: string, kind = "") => ({
      id,
      fields: {
        type: "ether",
        kind,
        driver: "ice",
        hardwareAddr: kind === "" ? `${hardwareAddr}${id}` : hardwareAddr,
      },
    });
    const machine = { disks: [], links: [card("eno1"), card("eno2"), card("eno1.7", "vlan")] };
    const addresses = ["10.0.0.11/24"];
    const deviceSelector = { driver: "ice" };
    expect(misfitsOf(interfaces({ deviceSelector, addresses }), machine)).toEqual([
      expect.stringMatching(
        /deviceSelector: 2 links match `driver: ice`, and all would get its addresses; .*eno2/,
      ),
    ]);
    expect(misfitsOf(interfaces({ deviceSelector, vip: { ip: "10.0.0.10" } }), machine)).toHaveLength(1);
    expect(misfitsOf(interfaces({ deviceSelector, dhcp: true, addresses: [] }), machine)).toEqual([]);
    const one = { deviceSelector: { hardwareAddr: `${hardwareAddr}*1` }, addresses };
    expect(misfitsOf(interfaces(one), machine)).toEqual([]);
    const bond = { interface: "bond0", bond: { deviceSelectors: [deviceSelector] }, addresses };
    expect(misfitsOf(interfaces(bond), machine)).toEqual([]);
  });

  // siderolabs/talos#8176
  it.each([
    interfaces({ deviceSelector: { hardwareAddr: "52:54:00:AB:*" } }),
    interfaces({ interface: "bond0", bond: { deviceSelectors: [{ permanentAddr: "52:54:00:AB:CD:EF" }] } }),
    interfaces({ deviceSelector: { pciID: "8086:100e" } }),
    alias('mac(link.hardware_addr) == "52:54:00:AB:CD:EF"'),
  ])("must have the case of letters that the machine reports: %s", (configuration) => {
    const card = { type: "ether", kind: "", hardwareAddr: "52:54:00:ab:cd:ef", pciID: "8086:100E" };
    const machine = {
      disks: [],
      links: [{ id: "eno1", fields: { ...card, permanentAddr: card.hardwareAddr } }],
    };
    expect(misfitsOf(configuration, machine)).toEqual([
      expect.stringMatching(
        /: no link matches `.*`: Talos distinguishes upper and lower case; the node has eno1/,
      ),
    ]);
  });

  it.each([
    interfaces({
      interface: "bond0",
      bond: {
        deviceSelectors: [{ hardwareAddr: "52:54:00:00:00:01" }, { hardwareAddr: "52:54:00:00:00:02" }],
      },
    }),
    alias('mac(link.hardware_addr) == "52:54:00:00:00:01"'),
    alias('mac(link.hardware_addr) == "52:54:00:00:00:02"'),
  ])("is found among the members of a running bond, which all have its address: %s", (configuration) => {
    const member = (id: string, permanentAddr: string) => ({
      id,
      fields: {
        type: "ether",
        kind: "",
        slaveKind: "bond",
        hardwareAddr: "52:54:00:00:00:01",
        permanentAddr,
      },
    });
    const machine = {
      disks: [],
      links: [
        { id: "bond0", fields: { type: "ether", kind: "bond", hardwareAddr: "52:54:00:00:00:01" } },
        member("eno1", "52:54:00:00:00:01"),
        member("eno2", "52:54:00:00:00:02"),
      ],
    };
    expect(misfitsOf(configuration, machine)).toEqual([]);
    expect(misfitsOf(configuration.replaceAll("00:0", "00:f"), machine)[0]).toContain(
      "eno1 (52:54:00:00:00:01), eno2 (52:54:00:00:00:02)",
    );
  });

  it("must be one disk for a volume that takes a whole disk", () => {
    const whole = (match: string) =>
      stringify({
        kind: "UserVolumeConfig",
        name: "data",
        volumeType: "disk",
        provisioning: { diskSelector: { match } },
      });
    expect(misfitsOf(whole("disk.size > 1u * GB"))).toEqual([
      `UserVolumeConfig data: 2 disks match \`disk.size > 1u * GB\`, but a volume of type disk needs exactly one; ${disks}`,
    ]);
    expect(misfitsOf(whole('disk.transport == "nvme"'))).toEqual([]);
    expect(misfitsOf(volume("disk.size > 1u * GB"))).toEqual([]);
  });

  it("is not an iSCSI disk of a running node, which is some pod's volume, unless the selector asks for it", () => {
    const lun = { dev_path: "/dev/sdb", size: 500e9, pretty_size: "500 GB", transport: "iscsi" };
    const [system] = hardware.disks;
    const machine = {
      links: [],
      disks: [...(system === undefined ? [] : [system]), { id: "sdb", isSystemDisk: false, fields: lun }],
    };
    const missing = (configuration: string) =>
      findMissingHardware(namedHardware([parse(configuration) as Record<string, unknown>]), machine, true);
    expect(missing(volume("!system_disk"))).toEqual([
      "UserVolumeConfig data: no disk matches `!system_disk`; the node has sda 64 GB.",
    ]);
    expect(missing(install({ diskSelector: { size: ">= 100GB" } }))).toHaveLength(1);
    expect(missing(volume('disk.transport == "iscsi"'))).toEqual([]);
    // Before the first configuration only firmware and adapters attach any.
    expect(misfitsOf(volume("!system_disk"), machine)).toEqual([]);
  });

  it("is not judged if the machine reports nothing", () => {
    expect(misfitsOf(install({ disk: "/dev/sdz" }), { disks: [], links: [] })).toEqual([]);
  });
});
