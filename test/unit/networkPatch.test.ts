import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { mergeConfig } from "../../talos/mergeConfig.ts";
import { dropKnownParts } from "../../talos/dropKnownParts.ts";
import { installImagePatch } from "../../talos/patches.ts";
import { networkPatch, type NetworkInterface } from "../../talos/networkPatch.ts";

const link: NetworkInterface = {
  interface: "enp1s0",
  addresses: ["10.0.0.11/24"],
  routes: [{ gateway: "10.0.0.1" }],
  dhcp: false,
};
const storage: NetworkInterface = {
  deviceSelector: { hardwareAddr: "00:1a:2b:*", driver: "ice" },
  addresses: ["192.168.21.11/24", "fd00:21::11/64"],
  routes: [{ network: "192.168.22.0/24", gateway: "192.168.21.1", metric: 50 }],
  dhcp: false,
  mtu: 9000,
};

function documents(text: string | undefined): unknown[] {
  return parseAllDocuments(text ?? "").map((document) => document.toJS() as unknown);
}

describe("the network of a node", () => {
  it("is machine.network up to contract v1.13, with every link once and DHCP off", () => {
    const patch = networkPatch({
      interfaces: [link, storage],
      nameservers: ["10.0.0.2"],
      vip: { address: "10.0.0.10", interface: "enp1s0" },
      contract: "v1.13",
    });
    expect(parse(patch ?? "")).toEqual({
      machine: {
        network: {
          interfaces: [
            {
              interface: "enp1s0",
              dhcp: false,
              addresses: ["10.0.0.11/24"],
              routes: [{ network: "0.0.0.0/0", gateway: "10.0.0.1" }],
              vip: { ip: "10.0.0.10" },
            },
            {
              deviceSelector: { hardwareAddr: "00:1a:2b:*", driver: "ice" },
              mtu: 9000,
              dhcp: false,
              addresses: ["192.168.21.11/24", "fd00:21::11/64"],
              routes: [{ network: "192.168.22.0/24", gateway: "192.168.21.1", metric: 50 }],
            },
          ],
          nameservers: ["10.0.0.2"],
        },
      },
    });
  });

  it("is one document per item from contract v1.14 on", () => {
    const patch = networkPatch({
      interfaces: [link, { ...storage, dhcp: true }],
      nameservers: ["10.0.0.2"],
      vip: { address: "10.0.0.10", interface: "enp1s0" },
      contract: "v1.14",
    });
    const api = { apiVersion: "v1alpha1" };
    expect(documents(patch)).toEqual([
      {
        ...api,
        kind: "LinkConfig",
        name: "enp1s0",
        up: true,
        addresses: [{ address: "10.0.0.11/24" }],
        routes: [{ gateway: "10.0.0.1" }],
      },
      { ...api, kind: "Layer2VIPConfig", name: "10.0.0.10", link: "enp1s0" },
      {
        ...api,
        kind: "LinkAliasConfig",
        name: "link-1",
        selector: { match: 'glob("00:1a:2b:*", mac(link.hardware_addr)) && link.driver == "ice"' },
      },
      {
        ...api,
        kind: "LinkConfig",
        name: "link-1",
        up: true,
        mtu: 9000,
        addresses: [{ address: "192.168.21.11/24" }, { address: "fd00:21::11/64" }],
        routes: [{ destination: "192.168.22.0/24", gateway: "192.168.21.1", metric: 50 }],
      },
      { ...api, kind: "DHCPv4Config", name: "link-1" },
      { ...api, kind: "ResolverConfig", nameservers: [{ address: "10.0.0.2" }] },
    ]);
  });

  it.each(["v1.6", "v1.13", "v1.14"])(
    "keeps DHCP on a link that has only the virtual IP (%s)",
    (contract) => {
      const patch = networkPatch({ vip: { address: "10.0.0.10", interface: "eth0" }, contract }) ?? "";
      if (contract === "v1.14") {
        expect(documents(patch).map((document) => (document as { kind: string }).kind)).toEqual([
          "LinkConfig",
          "DHCPv4Config",
          "Layer2VIPConfig",
        ]);
      } else {
        expect(parse(patch)).toEqual({
          machine: {
            network: { interfaces: [{ interface: "eth0", dhcp: true, vip: { ip: "10.0.0.10" } }] },
          },
        });
      }
    },
  );

  it("puts the virtual IP on the only link by default, and gives an IPv6 gateway an IPv6 default route", () => {
    const only = { ...link, addresses: ["fd00::11/64"], routes: [{ gateway: "fd00::1" }] };
    const patch = networkPatch({ interfaces: [only], vip: { address: "fd00::10" }, contract: "v1.12" });
    expect(parse(patch ?? "")).toMatchObject({
      machine: {
        network: {
          interfaces: [
            {
              interface: "enp1s0",
              routes: [{ network: "::/0", gateway: "fd00::1" }],
              vip: { ip: "fd00::10" },
            },
          ],
        },
      },
    });
  });

  it("has no patch if nothing is set", () => {
    expect(networkPatch({ contract: "v1.13" })).toBeUndefined();
  });
});

describe("a link in the node's own configuration", () => {
  const merged = (base: string, spec: Omit<Parameters<typeof networkPatch>[0], "base">): string =>
    mergeConfig(
      base,
      dropKnownParts(
        base,
        [networkPatch({ ...spec, base }) ?? ""].filter((patch) => patch !== ""),
      ),
    );
  const vip = { address: "10.0.0.10", interface: "eth0" };

  it.each(["true", "false"])("gets the virtual IP and keeps its dhcp: %s", (dhcp) => {
    const base = `version: v1alpha1\nmachine: { network: { interfaces: [{ interface: eth1 }, { interface: eth0, dhcp: ${dhcp} }] } }\n`;
    expect(parse(merged(base, { vip, contract: "v1.13" }))).toMatchObject({
      machine: {
        network: {
          interfaces: [
            { interface: "eth1" },
            { interface: "eth0", dhcp: dhcp === "true", vip: { ip: "10.0.0.10" } },
          ],
        },
      },
    });
  });

  it("is also found by its selector", () => {
    const base =
      "machine: { network: { interfaces: [{ deviceSelector: { driver: ice, hardwareAddr: '00:1a:2b:*' }, dhcp: true, mtu: 1500 }] } }\n";
    const { dhcp: _dhcp, ...selector } = storage;
    const result = parse(
      merged(base, {
        interfaces: [{ ...selector, dhcp: false }],
        vip: { address: "192.168.21.10", deviceSelector: storage.deviceSelector },
        contract: "v1.12",
      }),
    ) as { machine: { network: { interfaces: object[] } } };
    expect(result.machine.network.interfaces).toEqual([
      {
        deviceSelector: { driver: "ice", hardwareAddr: "00:1a:2b:*" },
        dhcp: true,
        mtu: 9000,
        addresses: storage.addresses,
        routes: storage.routes,
        vip: { ip: "192.168.21.10" },
      },
    ]);
  });

  it("keeps its addresses and routes without duplicates", () => {
    const base =
      "machine: { network: { interfaces: [{ interface: enp1s0, addresses: [10.0.0.11/24], routes: [{ gateway: 10.0.0.1 }] }] } }\n";
    expect(
      parse(
        merged(base, {
          interfaces: [{ ...link, addresses: ["10.0.0.11/24", "10.0.0.12/24"] }],
          contract: "v1.13",
        }),
      ),
    ).toEqual({
      machine: {
        network: {
          interfaces: [
            {
              interface: "enp1s0",
              addresses: ["10.0.0.11/24", "10.0.0.12/24"],
              routes: [{ gateway: "10.0.0.1" }],
            },
          ],
        },
      },
    });
  });

  it("uses DHCP if the settings say so", () => {
    const base = "machine: { network: { interfaces: [{ interface: enp1s0, dhcp: false }] } }\n";
    expect(merged(base, { interfaces: [{ ...link, dhcp: true }], contract: "v1.13" })).toContain(
      "dhcp: true",
    );
  });

  it("becomes a document if the file has documents, of any kind", () => {
    const base =
      'version: v1alpha1\nmachine: {}\n---\napiVersion: v1alpha1\nkind: BondConfig\nname: bond0\nlinks: [eth0, eth1]\nup: false\n---\napiVersion: v1alpha1\nkind: LinkAliasConfig\nname: storage\nselector: { match: \'glob("00:1a:2b:*", mac(link.hardware_addr)) && link.driver == "ice"\' }\n';
    for (const contract of ["v1.12", "v1.14"]) {
      const result = merged(base, {
        interfaces: [{ ...link, interface: "bond0" }, storage],
        vip: { address: "10.0.0.10", interface: "bond0" },
        contract,
      });
      expect(documents(result).slice(1)).toEqual([
        expect.objectContaining({ kind: "BondConfig", up: false, addresses: [{ address: "10.0.0.11/24" }] }),
        expect.objectContaining({ kind: "LinkAliasConfig", name: "storage" }),
        { apiVersion: "v1alpha1", kind: "Layer2VIPConfig", name: "10.0.0.10", link: "bond0" },
        expect.objectContaining({ kind: "LinkConfig", name: "storage", mtu: 9000 }),
      ]);
    }
  });

  it("is one document for a virtual IP alone, and all other links keep DHCP", () => {
    const base =
      "version: v1alpha1\nmachine: {}\n---\napiVersion: v1alpha1\nkind: HostnameConfig\nauto: stable\n";
    expect(documents(merged(base, { vip, contract: "v1.14" })).slice(2)).toEqual([
      { apiVersion: "v1alpha1", kind: "Layer2VIPConfig", name: "10.0.0.10", link: "eth0" },
    ]);
  });
});

describe("our own patches", () => {
  it("do not reset fields that Talos resets when a patch omits them", () => {
    const base =
      "apiVersion: v1alpha1\nkind: UnattendedInstallConfig\ninstaller: { image: old }\nprovisioning: { diskSelector: { match: 'disk.size > 1u' }, wipe: true }\n";
    const patch = installImagePatch({ image: "new", contract: "v1.14" }) ?? "";
    // A user's patch is merged exactly as Talos merges it.
    expect(mergeConfig(base, [patch])).not.toContain("disk.size");
    expect(parse(mergeConfig(base, dropKnownParts(base, [patch])))).toMatchObject({
      installer: { image: "new" },
      provisioning: { diskSelector: { match: "disk.size > 1u" }, wipe: true },
    });
  });
});
