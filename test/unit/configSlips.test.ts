import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";
import { parseSettings, SettingsError } from "../../config.ts";

/** Typos that nobody sees in a stack's file and that cost hours. */

const settings = (change: Record<string, unknown> = {}, cluster: Record<string, unknown> = {}) => ({
  talosVersion: "v1.13.9",
  cluster: {
    name: "dev",
    endpoint: "https://10.0.0.10:6443",
    nodes: [
      { name: "cp1", address: "10.0.0.11", role: "controlplane" },
      { name: "w1", address: "10.0.0.21", role: "worker" },
    ],
    ...cluster,
  },
  ...change,
});

function mistakes(config: Record<string, unknown>): string[] {
  try {
    parseSettings(config);
    return [];
  } catch (error) {
    if (error instanceof SettingsError) return error.problems.map(({ path, reason }) => `${path}: ${reason}`);
    throw error;
  }
}
const warnings = (config: Record<string, unknown>): string =>
  parseSettings(config)
    .warnings.map(({ path, reason }) => `${path}: ${reason}`)
    .join("\n");
const patched = (...all: unknown[]) => settings({}, { patches: { all } });

describe("an unknown key in a patch", () => {
  it.each<[string, unknown, string]>([
    [
      "one letter missing",
      { machine: { sysctl: { "vm.x": "1" } } },
      "cluster.patches.all[0]: unknown key machine.sysctl; did you mean sysctls?",
    ],
    [
      "as text, with its line",
      "machine:\n  sysctl:\n    vm.x: '1'\n",
      "cluster.patches.all[0]: line 2: unknown key machine.sysctl; did you mean sysctls?",
    ],
    [
      "another case",
      { machine: { kubelet: { extraargs: { v: "4" } } } },
      "cluster.patches.all[0]: unknown key machine.kubelet.extraargs; did you mean extraArgs?",
    ],
    [
      "in a list",
      { machine: { network: { interfaces: [{ interface: "eth0", dhpc: true }] } } },
      "cluster.patches.all[0]: unknown key machine.network.interfaces[0].dhpc; did you mean dhcp?",
    ],
    [
      "in a document",
      { apiVersion: "v1alpha1", kind: "RegistryMirrorConfig", name: "docker.io", endpoint: [] },
      "cluster.patches.all[0]: unknown key endpoint; did you mean endpoints?",
    ],
  ])("is reported with its path and a suggestion: %s", (_case, patch, says) => {
    expect(mistakes(patched(patch))).toContain(says);
  });

  it("is reported with the known keys if nothing is similar, and with all mistakes of all patches", () => {
    const found = mistakes(patched({ machine: { wibble: 1, sysctl: {} } }, { cluster: { netwrok: {} } }));
    expect(found).toHaveLength(3);
    expect(found[0]).toMatch(
      /^cluster\.patches\.all\[0\]: unknown key machine\.wibble; known keys: .*and \d+ more$/,
    );
    expect(found[2]).toBe("cluster.patches.all[1]: unknown key cluster.netwrok; did you mean network?");
  });

  it("is accepted where users choose the names, and in what is only deleted", () => {
    const free = [
      {
        machine: {
          sysctls: { "net.wibble": "1" },
          nodeLabels: { sysctl: "x" },
          kubelet: { extraArgs: { wibble: "1" } },
        },
      },
      { machine: { files: [{ path: "/x", op: "create", content: "machine: { sysctl: 1 }" }] } },
      "cluster:\n  discovery:\n    $patch: delete\n",
    ];
    expect(mistakes(patched(...free))).toEqual([]);
  });

  it("is reported for an older release only if a typo is likely, since keys may have been removed since", () => {
    const older = (patch: unknown) => ({ ...patched(patch), talosVersion: "v1.9.6", talosContract: "v1.9" });
    expect(mistakes(older({ machine: { wibble: 1 } }))).toEqual([]);
    expect(mistakes(older({ machine: { sysctl: {} } }))[0]).toMatch(/unknown key machine\.sysctl/);
  });
});

describe("versions, extensions and endpoints", () => {
  it("refuse a release that this program does not know", () => {
    expect(mistakes(settings({ talosVersion: "v1.15.0" }))).toEqual([
      expect.stringMatching(
        /^talosVersion: is v1\.15\.0, newer than this version of the program supports \(up to v1\.14\)/,
      ),
    ]);
    expect(mistakes(settings({ talosVersion: "v1.14.1", kubernetesVersion: "v1.36.0" }))).toEqual([]);
  });

  const withExtensions = (...officialExtensions: string[]) =>
    settings({ image: { schematic: { customization: { systemExtensions: { officialExtensions } } } } });
  it("warn of a typo in an extension's name, with a suggestion", () => {
    expect(warnings(withExtensions("siderolabs/iscsi-tools", "siderolabs/qemu-guest-agnet"))).toContain(
      "image.schematic.customization.systemExtensions.officialExtensions: siderolabs/qemu-guest-agnet is not a known official extension; did you mean siderolabs/qemu-guest-agent?",
    );
    expect(warnings(withExtensions("siderolabs/iscsi-tools", "siderolabs/brand-new"))).toMatch(
      /brand-new.*check that the Image Factory offers it/,
    );
    for (const known of [
      "siderolabs/qemu-guest-agent",
      "siderolabs/i915-ucode",
      "siderolabs/nvidia-container-toolkit-production",
      // Extensions from siderolabs/extensions' release branches, old names that the factory accepts, and a new one that only the factory has.
      "siderolabs/soci-snapshotter",
      "siderolabs/intel-npu",
      "siderolabs/nvidia-fabricmanager-lts",
      "siderolabs/gasket",
      "siderolabs/nvidia-fabric-manager-lts",
    ])
      expect(warnings(withExtensions("siderolabs/iscsi-tools", known))).not.toContain(
        "not a known official extension",
      );
  });

  it.each([
    ["siderolab/qemu-guest-agent", "qemu-guest-agent"],
    ["siderolabs/qemu_guest_agent", "qemu-guest-agent"],
    ["Siderolabs/ZFS", "zfs"],
  ])("warn of %s as a typo", (given, meant) => {
    expect(warnings(withExtensions("siderolabs/iscsi-tools", given))).toContain(
      `did you mean siderolabs/${meant}?`,
    );
  });

  it("accept another publisher's extension", () => {
    expect(warnings(withExtensions("siderolabs/iscsi-tools", "acme/own"))).not.toContain("acme");
  });

  it("warn of an endpoint without a port", () => {
    for (const endpoint of ["https://k8s.example.com", "https://k8s.example.com/", "https://[2001:db8::1]"])
      expect(warnings(settings({}, { endpoint }))).toMatch(/cluster\.endpoint: .*without a port.*\S:6443,/);
    for (const endpoint of ["https://k8s.example.com:443", "https://[2001:db8::1]:6443"])
      expect(warnings(settings({}, { endpoint }))).not.toContain("without a port");
  });

  it("warn of an endpoint at the Talos API's port or at a worker", () => {
    expect(warnings(settings({}, { endpoint: "https://k8s.example.com:50000" }))).toMatch(
      /cluster\.endpoint: .*port of the Talos API.*k8s\.example\.com:6443/,
    );
    const node = (name: string, address: string, role: string) => ({ name, address, role });
    const nodes = [node("cp1", "10.0.0.11", "controlplane"), node("w1", "fd00:0:0::21", "worker")];
    const endpoint = "https://[fd00::21]:6443";
    expect(warnings(settings({}, { nodes, endpoint }))).toMatch(/cluster\.endpoint: .*w1.*is a worker/);
    expect(warnings(settings({}, { nodes, endpoint: "https://10.0.0.11:6443" }))).toBe("");
  });

  it("warn of two control planes", () => {
    const nodes = ["cp1", "cp2"].map((name, index) => ({
      name,
      address: `10.0.0.1${index + 1}`,
      role: "controlplane",
    }));
    expect(warnings(settings({}, { nodes }))).toMatch(
      /even number of control planes \(2\).*neither can be upgraded/,
    );
  });
});

describe("an Output in the settings", () => {
  const node = (change: object) => [{ name: "cp1", address: "10.0.0.11", role: "controlplane", ...change }];

  it.each<[string, Record<string, unknown>, string]>([
    ["for a section", { ...settings(), cluster: pulumi.output({ name: "dev" }) }, "cluster"],
    ["for a value", settings({}, { name: pulumi.output("dev") }), "cluster.name"],
    [
      "for a secret",
      { ...settings(), synology: { arrays: [{ password: pulumi.secret("p") }] } },
      "synology.arrays[0].password",
    ],
    [
      "for a label",
      settings({}, { nodes: node({ labels: { rack: pulumi.output("r1") } }) }),
      "cluster.nodes[0].labels.rack",
    ],
    [
      "in a patch",
      patched({ machine: { sysctls: { "vm.x": pulumi.output("1") } } }),
      'cluster.patches.all[0].machine.sysctls["vm.x"]',
    ],
    ["and a Promise", settings({}, { vip: Promise.resolve("10.0.0.10") }), "cluster.vip"],
  ])("%s is reported at its path, with no other mistake", (_what, config, path) => {
    const [found = "", ...others] = mistakes(config);
    expect(found).toMatch(/: is (an Output|a Promise), .*known when the program runs/);
    expect(found.startsWith(`${path}: `), found).toBe(true);
    expect(others).toEqual([]);
  });

  it("is reported in every place at once, and also as the whole settings", () => {
    const twice = settings({}, { name: pulumi.output("dev"), vip: pulumi.output("10.0.0.10") });
    expect(mistakes(twice)).toHaveLength(2);
    const [only = "", ...others] = mistakes(pulumi.output(settings()) as unknown as Record<string, unknown>);
    expect(only).toMatch(/^: is an Output/);
    expect(others).toEqual([]);
  });
});
