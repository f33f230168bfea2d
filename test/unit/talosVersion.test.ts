import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  findBadRelease,
  canonicalExtension,
  isExtensionAvailable,
  hasTgtd,
  initiatorNameChanges,
  iscsiServices,
} from "../../talos/extensions.ts";
import {
  configurationForms,
  hasPlatformInstaller,
  hasSchematicExtension,
  kernelArgumentPlace,
  needsPreserve,
  upgradeApiOf,
  hasWorkloadIsolation,
} from "../../talos/features.ts";
import {
  KNOWN_CONTRACTS,
  kubernetesProblem,
  versionSkew,
  supportedKubernetesRange,
} from "../../talos/releases.ts";
import {
  compareVersions,
  contractAtLeast,
  contractOf,
  parseContract,
  parseVersion,
  VersionError,
} from "../../talos/version.ts";

describe("releases and contracts", () => {
  test.each([
    ["v1.13.9", { major: 1, minor: 13, patch: 9 }],
    ["v1.6.0", { major: 1, minor: 6, patch: 0 }],
    ["v1.14.0-rc.1", { major: 1, minor: 14, patch: 0, prerelease: "rc.1" }],
    ["v1.13.0-beta.0", { major: 1, minor: 13, patch: 0, prerelease: "beta.0" }],
    ["v1.14.0-alpha.12", { major: 1, minor: 14, patch: 0, prerelease: "alpha.12" }],
  ])("%s is read", (text, parts) => {
    expect(parseVersion(text)).toEqual({ text, ...parts });
  });

  test.each([
    "1.13.9",
    "v1.13",
    "v1.13.9 ",
    "v01.13.9",
    "v1.13.9-rc1",
    "v1.13.9-dirty",
    "latest",
    "",
    "v1.13.9+x",
    "V1.13.9",
    "v1.13.99999",
    "v1.99999999999999999999.0",
    "v1.13.0-rc.99999999999999999999",
  ])("%j is not a release", (text) => {
    expect(() => parseVersion(text)).toThrow(VersionError);
  });

  test("a missing v is pointed out", () => {
    expect(() => parseVersion("1.13.9")).toThrow('Did you mean "v1.13.9"?');
    expect(() => parseContract("v1.12.3")).toThrow('Did you mean "v1.12"?');
    expect(() => parseContract("1.12")).toThrow('Did you mean "v1.12"?');
    expect(() => parseContract("v1.99999999999999999999")).toThrow(
      /a configuration contract such as "v1.12".$/,
    );
    expect(kubernetesProblem("v1.13.9", "v1.99999999999999999999.0")).toContain(
      "is not a Kubernetes version",
    );
  });

  test("minors compare as numbers, and pre-releases precede their release", () => {
    const inOrder = [
      "v1.9.5",
      "v1.10.0-alpha.0",
      "v1.10.0-alpha.10",
      "v1.10.0-beta.0",
      "v1.10.0-rc.1",
      "v1.10.0",
      "v1.10.1",
    ];
    for (const [i, a] of inOrder.entries()) {
      for (const [j, b] of inOrder.entries())
        expect(compareVersions(a, b), `${a} ${b}`).toBe(Math.sign(i - j));
    }
  });

  test("a release generates its own minor's contract", () => {
    expect(contractOf("v1.14.0-rc.1")).toBe("v1.14");
    expect(contractAtLeast("v1.9", 12)).toBe(false);
    expect(contractAtLeast("v1.12", 12)).toBe(true);
    expect(contractAtLeast("v2.0", 12)).toBe(true);
    expect(KNOWN_CONTRACTS).toEqual("v1.6 v1.7 v1.8 v1.9 v1.10 v1.11 v1.12 v1.13 v1.14".split(" "));
  });
});

describe("skew", () => {
  // Allowed upgrades, from siderolabs/talos pkg/machinery/compatibility; [from, to, allowed, adjacent].
  test.each([
    ["v1.13.9", "v1.13.9", true, true],
    ["v1.13.0", "v1.13.9", true, true],
    ["v1.13.9", "v1.13.0", true, true],
    ["v1.12.7", "v1.13.9", true, true],
    ["v1.13.9", "v1.12.7", true, true],
    ["v1.11.6", "v1.13.9", true, false],
    ["v1.10.9", "v1.13.9", false, false],
    ["v1.9.5", "v1.11.0", true, false],
    ["v1.8.0", "v1.11.0", false, false],
    ["v1.8.0", "v1.10.0", true, false],
    ["v1.7.0", "v1.9.0", false, false],
    ["v1.5.0", "v1.8.0", true, false],
    ["v1.4.0", "v1.8.0", false, false],
    ["v1.14.1", "v1.12.0", false, false],
    ["v1.12.0", "v1.14.0", true, false],
    ["v1.14.0-rc.1", "v1.14.0", true, true],
    ["v1.14.0", "v1.15.0", true, true],
    ["v1.13.0", "v1.15.0", false, false],
    ["v1.14.1", "v2.0.0", false, false],
  ])("%s to %s: allowed %s, adjacent %s", (from, to, allowed, adjacent) => {
    expect(versionSkew(from, to)).toMatchObject({ allowed, adjacent });
  });

  test("too large a step is refused with the releases in between", () => {
    expect(versionSkew("v1.10.9", "v1.13.9")).toMatchObject({
      via: ["v1.11", "v1.12"],
      direction: "upgrade",
      reason:
        "the installer of v1.13.9 refuses nodes older than v1.11; this one runs v1.10.9. Go through v1.11, v1.12 first.",
    });
    expect(versionSkew("v1.14.1", "v1.12.0")).toMatchObject({ via: ["v1.13"], direction: "downgrade" });
    expect(versionSkew("v1.11.6", "v1.13.9").reason).toContain("skips v1.12");
  });

  const version = fc
    .tuple(fc.integer({ min: 3, max: 16 }), fc.integer({ min: 0, max: 20 }))
    .map(([minor, patch]) => `v1.${minor}.${patch}`);

  test("a path of neighboring minors exists for every step", () => {
    fc.assert(
      fc.property(version, version, (from, to) => {
        const { adjacent, via, allowed } = versionSkew(from, to);
        const minors = [contractOf(from), ...via, contractOf(to)].map((contract) =>
          Number(contract.split(".")[1]),
        );
        const steps = minors.slice(1).map((minor, i) => Math.abs(minor - (minors[i] ?? NaN)));
        expect(steps.every((step) => step <= 1)).toBe(true);
        expect(adjacent).toBe(via.length === 0);
        if (adjacent) expect(allowed).toBe(true);
      }),
    );
  });
});

describe("Kubernetes", () => {
  test.each([
    ["v1.6.7", "v1.24", "v1.29"],
    ["v1.8.0", "v1.26", "v1.31"],
    ["v1.12.7", "v1.30", "v1.35"],
    ["v1.13.9", "v1.31", "v1.36"],
    ["v1.14.1", "v1.32", "v1.37"],
  ])("%s runs %s to %s", (version, oldest, newest) => {
    expect(supportedKubernetesRange(version)).toEqual({ oldest, newest });
    expect(kubernetesProblem(version, `${oldest}.0`)).toBeUndefined();
    expect(kubernetesProblem(version, `${newest}.9`)).toBeUndefined();
  });

  test("a version out of range comes with advice", () => {
    expect(kubernetesProblem("v1.13.9", "v1.30.2")).toContain("upgrade Kubernetes to v1.31 or newer first");
    expect(kubernetesProblem("v1.12.7", "v1.36.0")).toContain("choose a newer Talos or Kubernetes v1.35");
    expect(kubernetesProblem("v1.13.9", "latest")).toContain("not a Kubernetes version");
    expect(kubernetesProblem("v1.99.0", "v1.200.0")).toBeUndefined();
  });
});

test.each([
  ["v1.6.7", "machine"],
  ["v1.12.11", "machine"],
  ["v1.13.0-alpha.2", "machine"],
  ["v1.13.0-beta.0", "lifecycle"],
  ["v1.13.0", "lifecycle"],
  ["v1.14.0-alpha.0", "lifecycle"],
])("%s upgrades with the %s API", (version, api) => {
  expect(upgradeApiOf(version)).toBe(api);
});

test("each feature starts at its first minor release", () => {
  const lines = KNOWN_CONTRACTS.map((contract) => `${contract}.1`);
  const first = (holds: (version: string) => boolean): string | undefined => lines.find(holds);
  expect(first((version) => !needsPreserve(version))).toBe("v1.8.1");
  expect(first((version) => !hasTgtd(version))).toBe("v1.10.1");
  expect(first(hasPlatformInstaller)).toBe("v1.10.1");
  expect(first(hasSchematicExtension)).toBe("v1.7.1");
  expect(first((version) => hasWorkloadIsolation(contractOf(version)))).toBe("v1.14.1");
  expect(first((version) => configurationForms(contractOf(version)).hostname === "HostnameConfig")).toBe(
    "v1.12.1",
  );
  for (const part of ["admission", "modules", "install", "network"] as const) {
    expect(
      first((version) => configurationForms(contractOf(version))[part] !== "v1alpha1"),
      part,
    ).toBe("v1.14.1");
  }
  expect(iscsiServices("v1.9.5")).toEqual(["ext-iscsid", "ext-tgtd"]);
  expect(iscsiServices("v1.10.0")).toEqual(["ext-iscsid"]);
});

test("initiator names change only between 1.9 and 1.10, in both directions", () => {
  expect(initiatorNameChanges("v1.9.5", "v1.10.0")).toBe(true);
  expect(initiatorNameChanges("v1.10.0", "v1.9.5")).toBe(true);
  expect(initiatorNameChanges("v1.6.0", "v1.9.5")).toBe(false);
  expect(initiatorNameChanges("v1.10.0", "v1.14.1")).toBe(false);
});

test("broken releases are broken only with iscsi-tools, in any spelling", () => {
  expect(findBadRelease("v1.12.5")).toMatchObject({ instead: "v1.12.7" });
  expect(findBadRelease("v1.13.8", ["siderolabs/iscsi-tools"])).toMatchObject({ instead: "v1.13.9" });
  expect(findBadRelease("v1.13.8", ["siderolabs/btrfs"])).toBeUndefined();
  expect(findBadRelease("v1.13.9")).toBeUndefined();
  expect(findBadRelease("v1.12.7")).toBeUndefined();
});

test("extensions are available from the minor release that introduced them", () => {
  expect(isExtensionAvailable("siderolabs/iscsi-tools", "v1.6.0")).toBe(true);
  expect(isExtensionAvailable("iscsi-tools", "v1.5.5")).toBe(false);
  // Not in the release branches of siderolabs/extensions up to 1.11.
  expect(isExtensionAvailable("siderolabs/multipath-tools", "v1.11.6")).toBe(false);
  expect(isExtensionAvailable("siderolabs/trident-iscsi-tools", "v1.11.6")).toBe(false);
  expect(isExtensionAvailable("siderolabs/multipath-tools", "v1.12.7")).toBe(true);
  expect(findBadRelease("v1.12.5", ["siderolabs/multipath-tools"])).toBeDefined();
  expect(findBadRelease("v1.12.6", ["siderolabs/multipath-tools"])).toBeUndefined();
  expect(isExtensionAvailable("siderolabs/never-heard-of", "v1.13.9")).toBeUndefined();
});

test.each([
  ["v1.6", undefined, "install"],
  ["v1.11", undefined, "install"],
  ["v1.12", undefined, "schematic"],
  ["v1.14", undefined, "schematic"],
  ["v1.6", "v1.9.5", "install"],
  ["v1.6", "v1.10.0", "schematic"],
  ["v1.6", "v1.13.9", "schematic"],
])("kernel arguments of contract %s on %s go into: %s", (contract, version, place) => {
  expect(kernelArgumentPlace(contract, version).place).toBe(place);
});

test("a renamed extension has one canonical name", () => {
  expect(canonicalExtension("siderolabs/i915-ucode")).toBe("i915");
  expect(canonicalExtension("siderolabs/nvidia-container-toolkit-production")).toBe(
    "nvidia-container-toolkit-production",
  );
});
