/**
 * The one place that knows what differs between Talos releases. Everything else asks here.
 *
 * Two things carry a version: the *release* is the OS a node runs (`v1.13.9`), the *contract* is the shape of the
 * machine configuration (`v1.12`) and stays where the cluster was made.
 */
import { SemVer, compare as compareSemver } from "semver";

/** A bad version or contract string. The message says what was read and what would be right. */
export class VersionError extends Error {
  override readonly name = "VersionError";
}

/** A Talos release, taken apart. */
export interface TalosVersion {
  /** As written: `v1.13.9`, `v1.14.0-rc.1`. */
  readonly text: string;
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** `alpha.2`, `beta.0`, `rc.1`; absent for a final release. */
  readonly prerelease?: string;
}

/** The shape of the machine configuration: a release without its patch number, `v1.12`. */
export type Contract = `v${number}.${number}`;

// Talos tags pre-releases alpha, beta and rc, counted from 0 (siderolabs/talos tags).
const RELEASE = /^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:alpha|beta|rc)\.(?:0|[1-9]\d*)))?$/;
const CONTRACT = /^v(0|[1-9]\d*)\.(0|[1-9]\d*)$/;
const KUBERNETES = /^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/;

/** Reads a release exactly as Talos tags it: `v1.13.9`, `v1.14.0-rc.1`. Throws `VersionError` for anything else. */
export function parseVersion(text: string): TalosVersion {
  const match = RELEASE.exec(text);
  if (match === null) {
    const mended = RELEASE.test(`v${text.trim()}`) ? ` Did you mean "v${text.trim()}"?` : "";
    throw new VersionError(`"${text}" is not a Talos release such as "v1.13.9" or "v1.14.0-rc.1".${mended}`);
  }
  const prerelease = match[4];
  return {
    text,
    major: Number(match[1]),
    minor: Number(match[2]),
    patch: Number(match[3]),
    ...(prerelease === undefined ? {} : { prerelease }),
  };
}

/** Orders two releases, pre-releases before their final one. */
export function compareVersions(a: string, b: string): -1 | 0 | 1 {
  return compareSemver(new SemVer(parseVersion(a).text), new SemVer(parseVersion(b).text));
}

/** The contract that a release generates by itself: `v1.13.9` gives `v1.13`. */
export function contractOf(version: string): Contract {
  const { major, minor } = parseVersion(version);
  return `v${major}.${minor}`;
}

/** Reads a contract, `v1.12`. Throws `VersionError` for anything else, a full release included. */
export function parseContract(text: string): Contract {
  const match = CONTRACT.exec(text);
  if (match === null) {
    const mended = /^v?(\d+)\.(\d+)(?:\.\d+.*)?$/.exec(text.trim());
    const hint = mended === null ? "" : ` Did you mean "v${Number(mended[1])}.${Number(mended[2])}"?`;
    throw new VersionError(`"${text}" is not a configuration contract such as "v1.12".${hint}`);
  }
  return `v${Number(match[1])}.${Number(match[2])}`;
}

/** Is the contract at least `v1.<minor>`? */
export function contractAtLeast(contract: string, minor: number): boolean {
  const match = CONTRACT.exec(parseContract(contract));
  const [major, own] = [Number(match?.[1]), Number(match?.[2])];
  return major > 1 || (major === 1 && own >= minor);
}

/** Is the release of the line `v1.<minor>` or newer? A pre-release belongs to its line. */
export function versionAtLeast(version: string, minor: number): boolean {
  const parsed = parseVersion(version);
  return parsed.major > 1 || (parsed.major === 1 && parsed.minor >= minor);
}

interface ReleaseFacts {
  /** The oldest minor whose nodes the installer of this line accepts. */
  readonly oldestHost: number;
  /** The Kubernetes minors that this line runs, both ends included. */
  readonly kubernetes: readonly [oldest: number, newest: number];
}

// siderolabs/talos pkg/machinery/compatibility/talosNNN, read at v1.13.9 and v1.14.1. The newest host is always the
// line after the target's (MaximumHostDowngradeVersion is target+2, exclusive).
const RELEASES: Readonly<Record<number, ReleaseFacts>> = {
  6: { oldestHost: 3, kubernetes: [24, 29] },
  7: { oldestHost: 4, kubernetes: [25, 30] },
  8: { oldestHost: 5, kubernetes: [26, 31] },
  9: { oldestHost: 8, kubernetes: [27, 32] },
  10: { oldestHost: 8, kubernetes: [28, 33] },
  11: { oldestHost: 9, kubernetes: [29, 34] },
  12: { oldestHost: 10, kubernetes: [30, 35] },
  13: { oldestHost: 11, kubernetes: [31, 36] },
  14: { oldestHost: 12, kubernetes: [32, 37] },
};

/** The lines this program knows, oldest first. */
export const KNOWN_CONTRACTS: readonly Contract[] = Object.keys(RELEASES)
  .map(Number)
  .sort((a, b) => a - b)
  .map((minor): Contract => `v1.${minor}`);

function factsOf({ major, minor }: TalosVersion): ReleaseFacts | undefined {
  return major === 1 ? RELEASES[minor] : undefined;
}

/** May a node go from one release to another? */
export interface Skew {
  /** False: the installer refuses, and no override helps. */
  readonly allowed: boolean;
  /** True: at most one minor apart, the only step that Talos tests. Where false, an explicit override is needed. */
  readonly adjacent: boolean;
  readonly direction: "same" | "upgrade" | "downgrade";
  /** For people: why it is refused, or what an override would risk, or that it is supported. */
  readonly reason: string;
  /** The contracts to pass through, one minor at a time, where the step is not adjacent; else empty. */
  readonly via: readonly Contract[];
}

/**
 * The version skew between the release a node runs and the one it shall run. `allowed` is what the installer
 * enforces, `adjacent` what Talos supports; a pre-release counts as its line, as in the installer.
 */
export function skew(from: string, to: string): Skew {
  const [host, target] = [parseVersion(from), parseVersion(to)];
  const order = compareVersions(from, to);
  const direction = order === 0 ? "same" : order < 0 ? "upgrade" : "downgrade";
  const distance = target.minor - host.minor;
  const adjacent = host.major === target.major && Math.abs(distance) <= 1;
  const sign = Math.sign(distance);
  const via =
    adjacent || host.major !== target.major
      ? []
      : Array.from(
          { length: Math.abs(distance) - 1 },
          (_, i): Contract => `v${host.major}.${host.minor + sign * (i + 1)}`,
        );
  const verdict = (allowed: boolean, reason: string): Skew => ({ allowed, adjacent, direction, reason, via });
  const path = via.length === 0 ? "" : ` Go through ${via.join(", ")} first.`;

  if (direction === "same") return verdict(true, `the node already runs ${to}`);
  if (host.major !== target.major) {
    return verdict(false, `${from} to ${to} changes the major version; nothing is known of such a step`);
  }
  const facts = factsOf(target);
  if (facts === undefined) {
    return adjacent
      ? verdict(
          true,
          `${from} to ${to} are adjacent minors; ${contractOf(to)} itself is not known to this program`,
        )
      : verdict(
          false,
          `${contractOf(to)} is not known to this program, so only its neighbours can reach it.${path}`,
        );
  }
  if (host.minor < facts.oldestHost) {
    return verdict(
      false,
      `the installer of ${to} refuses nodes older than v1.${facts.oldestHost}; this one runs ${from}.${path}`,
    );
  }
  if (host.minor > target.minor + 1) {
    return verdict(
      false,
      `the installer of ${to} refuses to downgrade nodes newer than v1.${target.minor + 1}; this one runs ${from}.${path}`,
    );
  }
  if (adjacent)
    return verdict(
      true,
      `${from} to ${to}: ${distance === 0 ? "the same minor" : "adjacent minors"}, supported`,
    );
  return verdict(
    true,
    `${from} to ${to} skips ${via.join(", ")}; Talos tests adjacent minors only. ` +
      `Go through ${via.length === 1 ? "it" : "them"}, or set the override for skew if you accept the risk.`,
  );
}

/** The Kubernetes minors a Talos release runs, both ends included; undefined for a line this program does not know. */
export function supportedKubernetes(
  version: string,
): { readonly oldest: string; readonly newest: string } | undefined {
  const facts = factsOf(parseVersion(version));
  return facts && { oldest: `v1.${facts.kubernetes[0]}`, newest: `v1.${facts.kubernetes[1]}` };
}

/** Undefined where the Talos release runs this Kubernetes version, else why not, for people. */
export function kubernetesProblem(version: string, kubernetesVersion: string): string | undefined {
  const match = KUBERNETES.exec(kubernetesVersion);
  if (match === null) return `"${kubernetesVersion}" is not a Kubernetes version such as "v1.35.2"`;
  const facts = factsOf(parseVersion(version));
  if (facts === undefined) return undefined;
  const [oldest, newest] = facts.kubernetes;
  const minor = Number(match[2]);
  if (Number(match[1]) === 1 && minor >= oldest && minor <= newest) return undefined;
  const way =
    minor > newest
      ? `choose a newer Talos or Kubernetes v1.${newest}`
      : `upgrade Kubernetes to v1.${oldest} or newer first`;
  return `Talos ${version} runs Kubernetes v1.${oldest} to v1.${newest}, not ${kubernetesVersion}: ${way}`;
}

/** Which upgrade API a server of this release offers (siderolabs/talos v1.13 lifecycle.proto; first in v1.13.0-beta.0). */
export function upgradeApi(version: string): "machine" | "lifecycle" {
  const parsed = parseVersion(version);
  if (
    parsed.major === 1 &&
    parsed.minor === 13 &&
    parsed.patch === 0 &&
    parsed.prerelease?.startsWith("alpha")
  ) {
    return "machine";
  }
  return versionAtLeast(version, 13) ? "lifecycle" : "machine";
}

/**
 * Must the upgrade request say `preserve`? Only before 1.8, where the default wiped a node's data. From 1.8 on data
 * always stays, and servers from 1.12.9 and 1.13.4 on take the flag as leave to skip their etcd check.
 */
export function preserveNeeded(version: string): boolean {
  return !versionAtLeast(version, 8);
}

/** A release that should not be installed with a given extension. */
export interface BadRelease {
  readonly version: string;
  readonly extension: string;
  readonly reason: string;
  /** What to install instead. */
  readonly instead: string;
  readonly source: string;
}

const BAD_RELEASES: readonly BadRelease[] = [
  {
    version: "v1.12.5",
    extension: "iscsi-tools",
    reason:
      "its iscsi-tools image was published without /usr/local/sbin/iscsiadm, so no CSI driver can log in",
    instead: "v1.12.7",
    source: "siderolabs/talos#12951, siderolabs/extensions#1006",
  },
  {
    version: "v1.13.8",
    extension: "iscsi-tools",
    reason: "its iscsi-tools carries open-iscsi 2.1.12 in a build that rejects the node records of 2.1.11",
    instead: "v1.13.9",
    source: "siderolabs/extensions#1182",
  },
];

/** The entry for a release that is known to be bad with one of the extensions; undefined where none is known. */
export function badRelease(
  version: string,
  extensions: readonly string[] = ["iscsi-tools"],
): BadRelease | undefined {
  const names = extensions.map(extensionName);
  return BAD_RELEASES.find(
    (bad) => bad.version === parseVersion(version).text && names.includes(bad.extension),
  );
}

/** The name an extension has on a node: `siderolabs/iscsi-tools` in a schematic is `iscsi-tools` there. */
export function extensionName(reference: string): string {
  return reference.slice(reference.lastIndexOf("/") + 1);
}

// The first line that offers each extension, as far as it is known (siderolabs/extensions).
const EXTENSION_SINCE: Readonly<Record<string, number>> = {
  "iscsi-tools": 6,
  "util-linux-tools": 6,
  "multipath-tools": 9,
  "trident-iscsi-tools": 9,
};

/** Does the release offer the extension? Undefined where this program does not know the extension. */
export function extensionAvailable(extension: string, version: string): boolean | undefined {
  const since = EXTENSION_SINCE[extensionName(extension)];
  return since === undefined ? undefined : versionAtLeast(version, since);
}

/** The services that iscsi-tools runs: `ext-tgtd` is gone since 1.10 (siderolabs/extensions 4a2e536). */
export function iscsiServices(version: string): readonly string[] {
  return hasTgtd(version) ? ["ext-iscsid", "ext-tgtd"] : ["ext-iscsid"];
}

/** Does iscsi-tools of this release run `ext-tgtd` beside `ext-iscsid`? */
export function hasTgtd(version: string): boolean {
  return !versionAtLeast(version, 10);
}

/** Does the factory offer `<platform>-installer` for this release? Before 1.10 there is only `installer`. */
export function hasPlatformInstaller(version: string): boolean {
  return versionAtLeast(version, 10);
}

/** Does a node of this release report its schematic among its extensions? Before 1.7 the schematic cannot be read back. */
export function hasSchematicExtension(version: string): boolean {
  return versionAtLeast(version, 7);
}

/**
 * Does a configuration generated for this contract put the CRI and its pods in a process and mount namespace of their
 * own (`SecurityProfileConfig.workloadIsolation`)? A pod cannot find iscsid by its process then.
 */
export function workloadIsolation(contract: string): boolean {
  return contractAtLeast(contract, 14);
}

/** Where a node's iSCSI initiator name comes from: generated by the extension, or since 1.10 from the machine's id. */
export function initiatorNameSource(version: string): "generated" | "machine-id" {
  return versionAtLeast(version, 10) ? "machine-id" : "generated";
}

/** Does the initiator name change on this way? It does once, crossing from 1.9 to 1.10, in either direction. */
export function initiatorNameChanges(from: string, to: string): boolean {
  return initiatorNameSource(from) !== initiatorNameSource(to);
}

/** Where kernel arguments have to be written for a node to boot with them. */
export interface KernelArguments {
  /** `install`: `machine.install.extraKernelArgs`. `schematic`: `customization.extraKernelArgs` of the image. */
  readonly place: "install" | "schematic";
  readonly reason: string;
}

/**
 * Which place is honoured. `contract` decides whether `install.extraKernelArgs` is accepted at all: a contract from
 * 1.12 on has `grubUseUKICmdline`, which refuses it. `version`, the release that runs, decides whether it takes effect:
 * systemd-boot (new UEFI installs from 1.10 on) ignores it, and the upgrade API of 1.13 does not pass it on. Left out,
 * the contract's own line is taken for the legacy boot path.
 */
export function kernelArguments(contract: string, version?: string): KernelArguments {
  if (contractAtLeast(contract, 12)) {
    return {
      place: "schematic",
      reason: `contract ${contract} sets install.grubUseUKICmdline, which cannot be used together with install.extraKernelArgs`,
    };
  }
  if (version !== undefined && versionAtLeast(version, 13)) {
    return {
      place: "schematic",
      reason: `${version} upgrades through LifecycleService, which does not pass install.extraKernelArgs to the installer`,
    };
  }
  if (version !== undefined && versionAtLeast(version, 10)) {
    return {
      place: "schematic",
      reason: `systemd-boot, the default of ${version}, ignores install.extraKernelArgs`,
    };
  }
  return { place: "install", reason: "the installer writes install.extraKernelArgs into the boot entry" };
}

/** Which form the machine configuration has for the parts this program patches. */
export interface ConfigurationForms {
  /** PodSecurity exemptions: `cluster.apiServer.admissionControl`, or a KubeAdmissionControlConfig document. */
  readonly admission: "v1alpha1" | "KubeAdmissionControlConfig";
  /** Kernel modules: `machine.kernel.modules`, or a KernelModuleConfig document each. */
  readonly modules: "v1alpha1" | "KernelModuleConfig";
  /** Installer image and disk: `machine.install`, or an UnattendedInstallConfig document. */
  readonly install: "v1alpha1" | "UnattendedInstallConfig";
  /** Hostname: `machine.network.hostname`, or a HostnameConfig document. */
  readonly hostname: "v1alpha1" | "HostnameConfig";
  /** Pod and service subnets: `cluster.network`, or a KubeNetworkConfig document. */
  readonly network: "v1alpha1" | "KubeNetworkConfig";
}

/** The forms of a contract. Mixing the old and the new one is refused by Talos for admission, install and hostname. */
export function configurationForms(contract: string): ConfigurationForms {
  const documents = contractAtLeast(contract, 14);
  return {
    admission: documents ? "KubeAdmissionControlConfig" : "v1alpha1",
    modules: documents ? "KernelModuleConfig" : "v1alpha1",
    install: documents ? "UnattendedInstallConfig" : "v1alpha1",
    network: documents ? "KubeNetworkConfig" : "v1alpha1",
    hostname: contractAtLeast(contract, 12) ? "HostnameConfig" : "v1alpha1",
  };
}
