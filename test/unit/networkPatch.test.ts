import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
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
  it("is machine.network up to contract v1.13, every link once and DHCP off", () => {
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

  it("is a document for each thing from contract v1.14 on", () => {
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
    "keeps DHCP on a link that bears only the virtual IP (%s)",
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

  it("puts the virtual IP on the only link where none is named, and gives a v6 gateway a v6 default route", () => {
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

  it("is nothing where nothing is set", () => {
    expect(networkPatch({ contract: "v1.13" })).toBeUndefined();
  });
});
