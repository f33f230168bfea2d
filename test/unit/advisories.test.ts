import { describe, expect, test } from "vitest";
import { advisories, type AdvisoryQuestion } from "../../talos/advisories.ts";

const schematic = { customization: { systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools"] } } };
const withArgs = { customization: { ...schematic.customization, extraKernelArgs: ["quiet"] } };
const quiet: AdvisoryQuestion = {
  from: "v1.12.7",
  to: "v1.13.7",
  contract: "v1.11",
  extensions: ["iscsi-tools"],
  schematic,
};

// Each row: a case that triggers the advisory, a close case that does not, and what the text must say.
interface Case {
  id: string;
  severity: "warning" | "refuse";
  speaks: Partial<AdvisoryQuestion>;
  silent: Partial<AdvisoryQuestion>;
  says: RegExp;
}

const cases: Case[] = [
  {
    id: "initiator-name-changes",
    severity: "warning",
    speaks: { from: "v1.9.5", to: "v1.10.9", contract: "v1.6" },
    silent: { from: "v1.9.5", to: "v1.10.9", contract: "v1.6", extensions: [] },
    says: /iqn\.2017-11\.dev\.talos:<machine id>.*array/,
  },
  {
    id: "tgtd-gone",
    severity: "warning",
    speaks: { from: "v1.9.5", to: "v1.10.9", contract: "v1.6" },
    silent: { from: "v1.10.0", to: "v1.10.9", contract: "v1.6" },
    says: /no longer has ext-tgtd/,
  },
  {
    id: "iscsi-paths-gone",
    severity: "warning",
    speaks: { from: "v1.9.5", to: "v1.10.9", contract: "v1.6" },
    silent: { from: "v1.8.0", to: "v1.9.5", contract: "v1.6" },
    says: /\/usr\/local\/etc\/iscsi/,
  },
  {
    id: "iscsi-node-records",
    severity: "warning",
    speaks: { from: "v1.12.7", to: "v1.13.9" },
    silent: { from: "v1.13.9", to: "v1.14.1" },
    says: /open-iscsi 2\.1\.12.*rediscover the targets/,
  },
  {
    id: "bad-release",
    severity: "refuse",
    speaks: { to: "v1.13.8" },
    silent: { to: "v1.13.9" },
    says: /v1\.13\.9 does not have this defect/,
  },
  {
    id: "bad-release",
    severity: "refuse",
    speaks: { to: "v1.12.5" },
    silent: { to: "v1.12.5", extensions: [] },
    says: /without \/usr\/local\/sbin\/iscsiadm.*v1\.12\.7 does not have this defect/,
  },
  {
    id: "extension-unavailable",
    severity: "refuse",
    speaks: { from: "v1.7.0", to: "v1.8.4", contract: "v1.6", extensions: ["siderolabs/multipath-tools"] },
    silent: { from: "v1.11.6", to: "v1.12.7", contract: "v1.6", extensions: ["siderolabs/multipath-tools"] },
    says: /v1\.8\.4 does not offer siderolabs\/multipath-tools/,
  },
  {
    id: "extension-renamed",
    severity: "warning",
    speaks: {
      schematic: {
        customization: {
          systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools", "siderolabs/i915-ucode"] },
        },
      },
    },
    silent: {
      schematic: {
        customization: {
          systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools", "siderolabs/i915"] },
        },
      },
    },
    says: /siderolabs\/i915-ucode is now siderolabs\/i915/,
  },
  {
    id: "extension-twice",
    severity: "warning",
    speaks: {
      schematic: {
        customization: {
          systemExtensions: {
            officialExtensions: ["siderolabs/iscsi-tools", "siderolabs/i915", "siderolabs/i915-ucode"],
          },
        },
      },
    },
    silent: {},
    says: /twice: siderolabs\/i915-ucode/,
  },
  {
    id: "kernel-arguments-ignored",
    severity: "warning",
    speaks: { from: "v1.9.5", to: "v1.10.0", contract: "v1.9", installKernelArgs: ["quiet"] },
    silent: { from: "v1.8.0", to: "v1.9.5", contract: "v1.8", installKernelArgs: ["quiet"] },
    says: /systemd-boot.*schematic \(customization\.extraKernelArgs\)$/,
  },
  {
    id: "kernel-arguments-ignored",
    severity: "warning",
    speaks: { from: "v1.12.0", to: "v1.13.7", contract: "v1.9", installKernelArgs: ["quiet"] },
    silent: { from: "v1.12.0", to: "v1.13.7", contract: "v1.9" },
    says: /set machine\.install\.grubUseUKICmdline: true instead of machine\.install\.extraKernelArgs$/,
  },
  {
    id: "kernel-arguments-dropped",
    severity: "warning",
    speaks: { from: "v1.13.0", to: "v1.13.7", installKernelArgs: ["quiet"] },
    silent: { from: "v1.12.7", to: "v1.13.7", installKernelArgs: ["quiet"] },
    says: /LifecycleService.*GRUB would lose quiet.*schematic.*remove machine\.install\.extraKernelArgs and set machine\.install\.grubUseUKICmdline: true/,
  },
  {
    id: "kernel-arguments-dropped",
    severity: "warning",
    // Talos keeps net.ifnames until GRUB takes the image's arguments.
    speaks: { from: "v1.13.0", to: "v1.13.7", installKernelArgs: ["quiet", "net.ifnames=0"] },
    silent: { from: "v1.13.0", to: "v1.13.7", installKernelArgs: ["net.ifnames=0"] },
    says: /would lose quiet, .*Put quiet net\.ifnames=0 in the schematic/,
  },
  {
    id: "schematic-kernel-arguments-lost",
    severity: "warning",
    speaks: { from: undefined, to: "v1.14.0-rc.1", contract: "v1.14", schematic: withArgs },
    silent: { from: undefined, to: "v1.14.1", contract: "v1.14", schematic: withArgs },
    says: /use a final release/,
  },
  {
    id: "contract-ahead",
    severity: "refuse",
    speaks: { contract: "v1.13" },
    silent: { contract: "v1.12" },
    says: /v1\.12\.7 does not support; use v1\.12 or older/,
  },
  {
    id: "installer-not-published",
    severity: "refuse",
    speaks: { from: "v1.13.9", to: "v1.14.1", image: "ghcr.io/siderolabs/installer:v1.14.1" },
    silent: { from: "v1.12.7", to: "v1.13.7", image: "ghcr.io/siderolabs/installer:v1.13.7" },
    says: /use the factory's installer/,
  },
  {
    id: "schematic-unreadable",
    severity: "warning",
    speaks: { from: undefined, to: "v1.6.7", contract: "v1.6" },
    silent: { from: undefined, to: "v1.7.0", contract: "v1.6" },
    says: /do not report their schematic/,
  },
];

describe.each(cases)("$id", ({ id, severity, speaks, silent, says }) => {
  test("appears with its severity and a source", () => {
    const found = advisories({ ...quiet, ...speaks }).find((advisory) => advisory.id === id);
    expect(found).toMatchObject({ severity });
    expect(found?.text).toMatch(says);
    expect(found?.source).not.toBe("");
  });

  test("does not appear in the nearest other case", () => {
    expect(advisories({ ...quiet, ...silent }).map((advisory) => advisory.id)).not.toContain(id);
  });
});

test("an upgrade without known issues has no advisory", () => {
  expect(advisories(quiet)).toEqual([]);
});

test("refusals come first, and a custom image has no advisory of its own", () => {
  const found = advisories({
    ...quiet,
    from: "v1.9.5",
    to: "v1.10.0",
    contract: "v1.10",
    image: "example.org/mine",
  });
  const severities = found.map(({ severity }) => severity);
  expect(severities).toContain("refuse");
  expect(severities).toEqual([...severities].sort());
});
