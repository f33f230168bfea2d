/**
 * The Talos release lines this program knows: which nodes each accepts and which Kubernetes it supports. A new line is one more row of `RELEASES`; other
 * differences are in features.ts and extensions.ts.
 */
import { compareVersions, contractOf, parseVersion, type Contract, type TalosVersion } from "./version.ts";

const KUBERNETES =
  /^v?(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/;

interface ReleaseFacts {
  /** The oldest minor whose nodes this line's installer accepts. */
  readonly oldestHost: number;
  /** The Kubernetes minors that this line supports, both ends included. */
  readonly kubernetes: readonly [oldest: number, newest: number];
  /** The newest patch release this program knows. */
  readonly newest: string;
}

// siderolabs/talos pkg/machinery/compatibility/talosNNN, read at v1.13.9 and v1.14.1. The newest host is always the line after the target's
// (MaximumHostDowngradeVersion is target+2, exclusive).
const RELEASES: Readonly<Record<number, ReleaseFacts>> = {
  6: { oldestHost: 3, kubernetes: [24, 29], newest: "v1.6.8" },
  7: { oldestHost: 4, kubernetes: [25, 30], newest: "v1.7.7" },
  8: { oldestHost: 5, kubernetes: [26, 31], newest: "v1.8.4" },
  9: { oldestHost: 8, kubernetes: [27, 32], newest: "v1.9.6" },
  10: { oldestHost: 8, kubernetes: [28, 33], newest: "v1.10.9" },
  11: { oldestHost: 9, kubernetes: [29, 34], newest: "v1.11.6" },
  12: { oldestHost: 10, kubernetes: [30, 35], newest: "v1.12.11" },
  13: { oldestHost: 11, kubernetes: [31, 36], newest: "v1.13.9" },
  14: { oldestHost: 12, kubernetes: [32, 37], newest: "v1.14.1" },
};

/** The lines this program knows, oldest first. */
export const KNOWN_CONTRACTS: readonly Contract[] = Object.keys(RELEASES)
  .map(Number)
  .sort((a, b) => a - b)
  .map((minor): Contract => `v1.${minor}`);

/** Whether its line is newer than all lines this program knows. */
function isNewerThanKnown(version: string): boolean {
  const { major, minor } = parseVersion(version);
  return major > 1 || (major === 1 && minor > Math.max(...Object.keys(RELEASES).map(Number)));
}

function factsOf({ major, minor }: TalosVersion): ReleaseFacts | undefined {
  return major === 1 ? RELEASES[minor] : undefined;
}

/** The releases that a node may have to go through before `to`, oldest first: for every minor before it the given release, or the newest known patch. */
export function releasesBefore(to: string, given: readonly string[] = []): string[] {
  const { major, minor } = parseVersion(to);
  if (major !== 1) return [];
  const known = new Map(Object.entries(RELEASES).map(([line, { newest }]) => [Number(line), newest]));
  for (const release of given) known.set(parseVersion(release).minor, release);
  return [...known]
    .filter(([line]) => line < minor)
    .sort(([a], [b]) => a - b)
    .map(([, release]) => release);
}

/** Whether a node may go from one release to another. */
export interface VersionSkew {
  /** False: the installer refuses, and no override helps. */
  readonly allowed: boolean;
  /** True: at most one minor apart, the only step that Talos tests. If false, an explicit override is required. */
  readonly adjacent: boolean;
  /** A downgrade is a step too, and allowed to the previous line. */
  readonly direction: "same" | "upgrade" | "downgrade";
  /** For the user: why it is refused, what an override would risk, or that it is supported. */
  readonly reason: string;
  /** The contracts to go through, one minor at a time, if the step is not adjacent; else empty. */
  readonly via: readonly Contract[];
}

/**
 * The version skew between a node's running and desired release. `allowed` is what the installer enforces, `adjacent` what Talos supports; a pre-release counts
 * as its line, as in the installer.
 */
export function versionSkew(from: string, to: string): VersionSkew {
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
  const verdict = (allowed: boolean, reason: string): VersionSkew => ({
    allowed,
    adjacent,
    direction,
    reason,
    via,
  });
  const path = via.length === 0 ? "" : ` Go through ${via.join(", ")} first.`;

  if (direction === "same") return verdict(true, `the node already runs ${to}`);
  if (host.major !== target.major) {
    return verdict(false, `${from} to ${to} changes the major version, which this program does not support`);
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
          `${contractOf(to)} is not known to this program, so it can only be reached from an adjacent minor.${path}`,
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
    `${from} to ${to} skips ${via.join(", ")}; Talos tests only adjacent minors. ` +
      `Go through ${via.length === 1 ? "it" : "them"}, or set upgrade.allowSkew: true if you accept the risk.`,
  );
}

/** Why this program refuses releases newer than it knows; undefined for any other. */
export function unknownReleaseReason(version: string): string | undefined {
  if (!isNewerThanKnown(version)) return undefined;
  const newest = KNOWN_CONTRACTS.at(-1) ?? "";
  return `newer than this version of the program supports (up to ${newest}): neither the upgrade path nor etcd's can be checked; use a release of ${newest}, or a newer version of the program`;
}

/** The Kubernetes minors that a Talos release supports, both ends included; undefined for a line this program doesn't know. */
export function supportedKubernetesRange(
  version: string,
): { readonly oldest: string; readonly newest: string } | undefined {
  const facts = factsOf(parseVersion(version));
  return facts && { oldest: `v1.${facts.kubernetes[0]}`, newest: `v1.${facts.kubernetes[1]}` };
}

/** Undefined if the Talos release supports this Kubernetes version, else the reason, for the user. */
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
