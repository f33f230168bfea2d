import { describe, expect, it } from "vitest";
import { wantedHardware, type WantedNode } from "../../../talos/hardware/wanted.ts";

const patches = (own: Partial<WantedNode["patches"]> = {}): WantedNode["patches"] => ({
  role: "worker",
  talosVersion: "v1.13.9",
  exemptNamespaces: ["joviandss-csi"],
  kernelModules: ["iscsi_tcp"],
  user: [],
  ...own,
});
const named = (node: Partial<WantedNode>, contract = "v1.13") =>
  wantedHardware([{ name: "w1", patches: patches(), ...node }], contract)["w1"];

describe("the hardware that a node's configuration names", () => {
  it("is known from the settings alone, before there are secrets", () => {
    expect(named({})).toEqual([{ path: "machine.install.disk", disk: "/dev/sda" }]);
    expect(named({ patches: patches({ installDisk: "/dev/nvme0n1" }) })).toEqual([
      { path: "machine.install.disk", disk: "/dev/nvme0n1" },
    ]);
    expect(named({ patches: patches({ diskSelector: { size: ">= 100GB" } }) })).toEqual([
      { path: "machine.install.diskSelector", diskSelector: { size: ">= 100GB" } },
    ]);
  });

  it("comes from the last patch, in the form of the contract", () => {
    const user = ["machine:\n  install:\n    disk: /dev/sdb\n", "machine:\n  install:\n    disk: /dev/sdc\n"];
    expect(named({ patches: patches({ user }) })).toEqual([
      { path: "machine.install.disk", disk: "/dev/sdc" },
    ]);
    const [first] = named({ patches: patches({ installDisk: "/dev/sdb" }) }, "v1.14") ?? [];
    expect(first).toMatchObject({
      path: "UnattendedInstallConfig",
      diskMatch: expect.stringContaining("/dev/sdb") as string,
    });
  });

  it("contains only the names of links, no keys or tokens", () => {
    const user = [
      "machine:\n  network:\n    interfaces:\n      - interface: wg0\n        wireguard: { privateKey: c4n4ry }\n      - interface: eth9\n",
    ];
    const found = named({ patches: patches({ user }) });
    expect(found).toContainEqual({ path: "machine.network.interfaces[1]", link: "eth9" });
    expect(JSON.stringify(found)).not.toContain("c4n4ry");
  });

  it("has no links where the node's own file creates virtual functions", () => {
    const base =
      "machine:\n  type: worker\n  install: { disk: /dev/vda }\n  sysfs: { class.net.eno1.device.sriov_numvfs: '4' }\n  network: { interfaces: [{ interface: eno1v0 }] }\n";
    expect(named({ base })).toEqual([{ path: "machine.install.disk", disk: "/dev/vda" }]);
  });

  it("includes the node's own file, even with patches of other parts", () => {
    const base =
      "version: v1alpha1\nmachine:\n  type: worker\n  install:\n    disk: /dev/vda\n  sysctls:\n    a: b\ncluster:\n  network: {}\n";
    const user = ["- op: remove\n  path: /machine/sysctls/a\n"];
    expect(named({ base, patches: patches({ user }) })).toEqual([
      { path: "machine.install.disk", disk: "/dev/vda" },
    ]);
  });

  it("is unknown if the configuration cannot be read", () => {
    expect(named({ base: "a: [" })).toBeUndefined();
    expect(named({ patches: patches({ user: ["- op: remove\n  path: /nowhere\n"] }) })).toBeUndefined();
  });
});
