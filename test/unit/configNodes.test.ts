import { describe, expect, it } from "vitest";
import { parseSettings, SettingsError } from "../../config.ts";

/** A node with static addresses. */
function node(name: string, last: number, change: object = {}): Record<string, unknown> {
  return {
    name,
    address: `10.0.0.${last}`,
    role: name.startsWith("cp") ? "controlplane" : "worker",
    network: {
      interfaces: [
        { interface: "enp1s0", addresses: [`10.0.0.${last}/24`], routes: [{ gateway: "10.0.0.1" }] },
      ],
      nameservers: ["10.0.0.2"],
    },
    ...change,
  };
}

function settings(nodes: object[], cluster: object = {}, top: object = {}): Record<string, unknown> {
  return {
    talosVersion: "v1.13.9",
    ...top,
    cluster: { name: "dev", endpoint: "https://10.0.0.10:6443", nodes, ...cluster },
  };
}

/** Every mistake as `path: reason`. */
function mistakes(config: Record<string, unknown>): string[] {
  try {
    parseSettings(config);
    return [];
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return error.problems.map(({ path, reason }) => `${path}: ${reason}`);
  }
}

const three = [node("cp1", 11), node("cp2", 12), node("cp3", 13)];
const links = (...interfaces: object[]): object => ({ network: { interfaces } });

describe("a node's network", () => {
  it.each(["100.64.0.5", "203.0.113.7", "fd7a:115c:a1e0::5"])(
    "with a static address of the LAN, reached at %s, is accepted with a warning",
    (address) => {
      const interfaces = [{ interface: "enp1s0", addresses: ["10.0.0.11/24"] }];
      const { warnings } = parseSettings(
        settings([node("cp1", 11, { address, network: { interfaces } })], {
          endpoint: "https://vpn.example.com:6443",
        }),
      );
      expect(warnings).toContainEqual({
        path: "cluster.nodes[0].network.interfaces",
        reason: expect.stringContaining(`make sure that ${address} still reaches the node`) as string,
      });
    },
  );

  it("with static addresses and a virtual IP is accepted, and keeps Talos's own defaults", () => {
    const vip = { address: "10.0.0.10" };
    const { cluster, warnings } = parseSettings(settings(three, { vip }));
    expect(cluster.vip).toEqual(vip);
    expect(cluster.nodes[0]?.network).toEqual({
      interfaces: [
        {
          interface: "enp1s0",
          addresses: ["10.0.0.11/24"],
          routes: [{ gateway: "10.0.0.1" }],
          dhcp: false,
        },
      ],
      nameservers: ["10.0.0.2"],
    });
    expect(warnings.filter(({ path }) => path.includes("endpoint"))).toEqual([]);
  });

  it.each([
    [
      "without the node's own address",
      links({ interface: "eth0", addresses: ["10.0.0.99/24"] }),
      "cluster.nodes[0].network.interfaces: have 10.0.0.99, but not 10.0.0.11, the node's own address: the node would be unreachable with this configuration",
    ],
    [
      "by name and by selector",
      links({ interface: "eth0", deviceSelector: { driver: "ice" }, dhcp: true }),
      "cluster.nodes[0].network.interfaces[0]: has both interface and deviceSelector; set only one of them",
    ],
    [
      "without a name",
      links({ dhcp: true }),
      "cluster.nodes[0].network.interfaces[0]: names no link: set interface, such as enp1s0, or deviceSelector",
    ],
    [
      "by an empty selector",
      links({ deviceSelector: {}, dhcp: true }),
      "cluster.nodes[0].network.interfaces[0].deviceSelector: is a mapping; it must be a mapping with at least one of busPath, hardwareAddr, permanentAddr, pciID and driver",
    ],
    [
      "twice",
      links(
        { interface: "eth0", addresses: ["10.0.0.11/24"] },
        { interface: "eth0", addresses: ["10.1.0.11/24"] },
      ),
      "cluster.nodes[0].network.interfaces[1]: is the same link as network.interfaces[0]; list it once, with all its addresses",
    ],
    [
      "without any address",
      links({ interface: "eth0" }),
      "cluster.nodes[0].network.interfaces[0]: has neither addresses nor dhcp: true, so the link would have no address",
    ],
    [
      "without a prefix",
      links({ interface: "eth0", addresses: ["10.0.0.11"] }),
      'cluster.nodes[0].network.interfaces[0].addresses[0]: is "10.0.0.11"; it must be an address with a prefix, such as 10.0.0.11/24',
    ],
    [
      "with a gateway that is nowhere",
      links({ interface: "eth0", addresses: ["10.0.0.11/24"], routes: [{ gateway: "10.9.0.1" }] }),
      "cluster.nodes[0].network.interfaces[0].routes[0].gateway: is 10.9.0.1, which is outside the networks of the link's addresses (10.0.0.11/24)",
    ],
    [
      "with an address of another node",
      links({ interface: "eth0", addresses: ["10.0.0.11/24", "10.0.0.12/24"] }),
      "cluster.nodes[0].network.interfaces[0].addresses[1]: is 10.0.0.12/24, which is also an address of cluster.nodes[1]; an address can belong to only one node",
    ],
  ])("%s is refused", (_, change, says) => {
    expect(mistakes(settings([node("cp1", 11, change), node("w1", 12)]))).toContain(says);
  });

  it("with DHCP besides its addresses may be reached at an address from DHCP", () => {
    const both = links({ interface: "eth0", addresses: ["192.168.21.11/24"], dhcp: true });
    expect(mistakes(settings([node("cp1", 11, both)]))).toEqual([]);
  });
});

describe("the virtual IP", () => {
  it.each([
    [
      "that a node has",
      { address: "10.0.0.12" },
      three,
      "cluster.vip.address: is 10.0.0.12, an address of cluster.nodes[1]; a virtual IP moves between the control planes and cannot be a node's own address",
    ],
    [
      "in another network than its link",
      { address: "10.1.0.10" },
      three,
      "cluster.vip.address: is 10.1.0.10, which is outside the networks of that link's addresses on cluster.nodes[0] (10.0.0.11/24)",
    ],
    [
      "on a link that is not listed",
      { address: "10.0.0.10", interface: "eth7" },
      three,
      "cluster.vip: is on a link that cluster.nodes[0].network.interfaces does not list; list it there with the same selector",
    ],
    [
      "without a link, where none is listed",
      { address: "10.0.0.10" },
      [node("cp1", 11, { network: undefined })],
      "cluster.vip: names no link, and cluster.nodes[0] lists none; set interface, such as enp1s0, or deviceSelector",
    ],
  ])("%s is refused", (_, vip, nodes, says) => {
    expect(mistakes(settings(nodes, { vip }))).toContain(says);
  });

  it("that is not the endpoint causes a warning", () => {
    const { warnings } = parseSettings(settings(three, { vip: { address: "10.0.0.50" } }));
    expect(warnings).toContainEqual({
      path: "cluster.endpoint",
      reason:
        "is at 10.0.0.10, but cluster.vip is 10.0.0.50; the virtual IP is unused unless it is the endpoint",
    });
  });
});

describe("the disk", () => {
  const disk = (change: object, top: object = {}) => mistakes(settings([node("cp1", 11, change)], {}, top));

  it("may be selected by its properties", () => {
    expect(disk({ diskSelector: { size: ">= 100GB", type: "nvme" } })).toEqual([]);
  });

  it.each([
    [
      { installDisk: "/dev/sda", diskSelector: { type: "ssd" } },
      "conflicts with installDisk, which sets the same thing; set only one of them",
    ],
    [{ diskSelector: { match: "x", type: "ssd" } }, "has match and type; match excludes all other keys"],
    [
      { diskSelector: {} },
      "is a mapping; it must be a mapping with at least one property of the disk, such as size or type",
    ],
  ])("%j is refused", (change, says) => {
    expect(disk(change)).toContain(`cluster.nodes[0].diskSelector: ${says}`);
  });

  it("may be an expression only from contract v1.14 on; a wrong size or type is reported", () => {
    expect(disk({ diskSelector: { match: 'disk.transport == "nvme"' } })).toEqual([
      "cluster.nodes[0].diskSelector.match: needs contract v1.14 or newer; contract v1.13 takes properties of the disk, such as size and type",
    ]);
    expect(disk({ diskSelector: { size: "big", type: "tape" } })).toEqual([
      'cluster.nodes[0].diskSelector.size: is "big"; it must be a size such as ">= 100GB"',
      'cluster.nodes[0].diskSelector.type: is "tape"; it must be ssd, hdd, nvme or sd',
    ]);
  });
});

describe("documents", () => {
  const volume = {
    apiVersion: "v1alpha1",
    kind: "UserVolumeConfig",
    name: "data",
    provisioning: { diskSelector: { match: "!system_disk" }, minSize: "10GB" },
  };
  const withDocuments = (documents: unknown[], change: object = {}) =>
    settings([node("cp1", 11, { documents, ...change }), node("w1", 21)], { vip: { address: "10.0.0.10" } });

  it("are added to the configuration before the patches", () => {
    const patch = { machine: { sysctls: { "vm.swappiness": "1" } } };
    const { cluster } = parseSettings(
      settings([node("cp1", 11, { documents: [volume], patches: [patch] })], {
        documents: { all: ["apiVersion: v1alpha1\nkind: WatchdogTimerConfig\ndevice: /dev/watchdog0\n"] },
      }),
    );
    expect(cluster.patches.all).toEqual([
      "apiVersion: v1alpha1\nkind: WatchdogTimerConfig\ndevice: /dev/watchdog0\n",
    ]);
    expect(cluster.nodes[0]?.patches[0]).toContain("kind: UserVolumeConfig");
    expect(cluster.nodes[0]?.patches[1]).toContain("vm.swappiness");
    expect(cluster).not.toHaveProperty("documents");
  });

  it.each([
    [
      "a patch",
      { machine: { sysctls: {} } },
      "line 1: has no kind, so it is not a document; changes to the main configuration belong under patches",
    ],
    [
      "a deletion",
      { ...volume, $patch: "delete" },
      "line 8: is a patch ($patch), not a document; put it under patches",
    ],
    [
      "our virtual IP",
      { apiVersion: "v1alpha1", kind: "Layer2VIPConfig", name: "10.0.0.10", link: "enp1s0" },
      "line 2: document Layer2VIPConfig 10.0.0.10 is written by this program; use cluster.vip",
    ],
    [
      "our link",
      { apiVersion: "v1alpha1", kind: "LinkConfig", name: "enp1s0", up: true },
      "line 2: document LinkConfig enp1s0 is written by this program; use the node's network.interfaces",
    ],
    [
      "our host name",
      { apiVersion: "v1alpha1", kind: "HostnameConfig", auto: "off", hostname: "cp1" },
      "line 2: document HostnameConfig is written by this program; use the node's name or hostname",
    ],
    [
      "a kind that Talos does not know",
      { apiVersion: "v1alpha1", kind: "DiskConfig" },
      "document kind DiskConfig does not exist in Talos v1.14 or older",
    ],
  ])("%s is refused", (_, document, says) => {
    expect(mistakes(withDocuments([document]))).toContain(`cluster.nodes[0].documents[0]: ${says}`);
  });

  it("may load the iscsi_tcp module only on a node without iSCSI", () => {
    const module = { apiVersion: "v1alpha1", kind: "KernelModuleConfig", name: "iscsi_tcp" };
    const worker = (change: object): string[] =>
      mistakes(settings([node("cp1", 11), node("w1", 21, { documents: [module], ...change })]));
    const refused =
      "cluster.nodes[1].documents[0]: line 2: document KernelModuleConfig iscsi_tcp is written by this program; use the node's iscsi";
    expect(worker({})).toContain(refused);
    expect(worker({ iscsi: false })).not.toContain(refused);
  });

  it("are accepted only once across all levels", () => {
    const config = settings([node("cp1", 11, { documents: [volume] })], { documents: { all: [volume] } });
    expect(mistakes(config)).toEqual([
      "cluster.nodes[0].documents[0]: line 2: document UserVolumeConfig data is also in cluster.documents.all[0]; Talos accepts each document only once",
    ]);
  });

  it("for control planes are refused on workers by their contract", () => {
    const config = settings([node("cp1", 11), node("w1", 21)], {
      documents: { worker: [{ apiVersion: "v1alpha1", kind: "KubeProxyConfig" }] },
    });
    expect(mistakes(config)[0]).toMatch(
      /cluster\.documents\.worker\[0\]: document kind KubeProxyConfig needs contract v1\.14/,
    );
  });
});

describe("onRemove", () => {
  it("defaults to keep, and can be set for a node or for all", () => {
    const { cluster } = parseSettings(settings([node("cp1", 11), node("w1", 21, { onRemove: "reset" })]));
    expect(cluster.onRemove).toBe("keep");
    expect(cluster.nodes.map(({ onRemove }) => onRemove)).toEqual([undefined, "reset"]);
    expect(mistakes(settings([node("cp1", 11)], { onRemove: "wipe" }))).toEqual([
      'cluster.onRemove: is "wipe"; it must be keep or reset',
    ]);
  });
});
