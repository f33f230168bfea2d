/**
 * The Talos release lines this program knows: which nodes each accepts and which Kubernetes it runs. A new line is one
 * more row of `RELEASES`; features.ts and extensions.ts have what else it does in its own way.
 */
import { compareVersions, contractOf, parseVersion, type Contract, type TalosVersion } from "./version.ts";

const KUBERNETES =
  /^v?(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/;

interface ReleaseFacts {
  /** The oldest minor whose nodes the installer of this line accepts. */
  readonly oldestHost: number;
  /** The Kubernetes minors that this line runs, both ends included. */
  readonly kubernetes: readonly [oldest: number, newest: number];
  /** The newest patch release that this program knows. */
  readonly newest: string;
}

// siderolabs/talos pkg/machinery/compatibility/talosNNN, read at v1.13.9 and v1.14.1. The newest host is always the
// line after the target's (MaximumHostDowngradeVersion is target+2, exclusive).
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

/** Is it of a line that is newer than all this program knows? */
function isNewerThanKnown(version: string): boolean {
  const { major, minor } = parseVersion(version);
  return major > 1 || (major === 1 && minor > Math.max(...Object.keys(RELEASES).map(Number)));
}

function factsOf({ major, minor }: TalosVersion): ReleaseFacts | undefined {
  return major === 1 ? RELEASES[minor] : undefined;
}

/**
 * The releases that a node may have to go through before `to`, oldest first: of every minor before it the newest patch that is known, or the one
 * that is given.
 */
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

/** May a node go from one release to another? */
export interface VersionSkew {
  /** False: the installer refuses, and no override helps. */
  readonly allowed: boolean;
  /** True: at most one minor apart, the only step that Talos tests. Where false, an explicit override is needed. */
  readonly adjacent: boolean;
  /** A downgrade is a step too, and allowed to the line before. */
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

/** Why this program takes no node to a release that is newer than what it knows; undefined for any other. */
export function unknownReleaseReason(version: string): string | undefined {
  if (!isNewerThanKnown(version)) return undefined;
  const newest = KNOWN_CONTRACTS.at(-1) ?? "";
  return `newer than this version of the program supports (up to ${newest}): neither the upgrade path nor etcd's can be checked; use a release of ${newest}, or a newer version of the program`;
}

/** The Kubernetes minors a Talos release runs, both ends included; undefined for a line this program does not know. */
export function supportedKubernetesRange(
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
