/**
 * Parses and compares Talos versions. There are two kinds: the *release* is the OS a node runs (`v1.13.9`), the *contract* is the format of the machine
 * configuration (`v1.12`) and stays the one the cluster was created with.
 *
 * Differences between versions are only in releases.ts (upgrade paths and supported Kubernetes), features.ts (behavior of releases and contracts) and
 * extensions.ts (iSCSI).
 */
import { SemVer, compare as compareSemver } from "semver";

/** An invalid version or contract string. The message shows the value and a valid example. */
export class VersionError extends Error {
  override readonly name = "VersionError";
}

/** A parsed Talos release. */
export interface TalosVersion {
  /** As written: `v1.13.9`, `v1.14.0-rc.1`. */
  readonly text: string;
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** `alpha.2`, `beta.0`, `rc.1`; absent for a final release. */
  readonly prerelease?: string;
}

/** The format of the machine configuration: a release without its patch number, `v1.12`. */
export type Contract = `v${number}.${number}`;

// Talos tags pre-releases alpha, beta and rc, counted from 0 (siderolabs/talos tags). No part has more than four digits; longer ones are typos and exceed safe
// numbers.
const RELEASE =
  /^v(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})(?:-((?:alpha|beta|rc)\.(?:0|[1-9]\d{0,3})))?$/;
const CONTRACT = /^v(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})$/;

/** Reads a release exactly as Talos tags it: `v1.13.9`, `v1.14.0-rc.1`. Throws `VersionError` for anything else. */
export function parseVersion(text: string): TalosVersion {
  const match = RELEASE.exec(text);
  if (match === null) {
    const suggestion = RELEASE.test(`v${text.trim()}`) ? ` Did you mean "v${text.trim()}"?` : "";
    throw new VersionError(
      `"${text}" is not a Talos release such as "v1.13.9" or "v1.14.0-rc.1".${suggestion}`,
    );
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

/** `v1.13.9` gives 13; undefined for a custom build, about which nothing is known. */
export function talosMinor(text: string): number | undefined {
  return RELEASE.test(text) && text.startsWith("v1.") ? parseVersion(text).minor : undefined;
}

/** Orders two releases, pre-releases before their final release. */
export function compareVersions(a: string, b: string): -1 | 0 | 1 {
  return compareSemver(new SemVer(parseVersion(a).text), new SemVer(parseVersion(b).text));
}

/** The oldest of several releases. */
export function oldestOf(releases: readonly [string, ...string[]]): string {
  return releases.reduce((a, b) => (compareVersions(a, b) <= 0 ? a : b));
}

/** The contract that a release generates by default: `v1.13.9` gives `v1.13`. */
export function contractOf(version: string): Contract {
  const { major, minor } = parseVersion(version);
  return `v${major}.${minor}`;
}

/** Parses a contract, `v1.12`. Throws `VersionError` for anything else, including a full release. */
export function parseContract(text: string): Contract {
  const match = CONTRACT.exec(text);
  if (match === null) {
    const contract = /^v?(\d{1,4})\.(\d{1,4})(?:\.\d+.*)?$/.exec(text.trim());
    const hint = contract === null ? "" : ` Did you mean "v${Number(contract[1])}.${Number(contract[2])}"?`;
    throw new VersionError(`"${text}" is not a configuration contract such as "v1.12".${hint}`);
  }
  return `v${Number(match[1])}.${Number(match[2])}`;
}

/** Whether the contract is `v1.<minor>` or newer. */
export function contractAtLeast(contract: string, minor: number): boolean {
  const match = CONTRACT.exec(parseContract(contract));
  const [major, own] = [Number(match?.[1]), Number(match?.[2])];
  return major > 1 || (major === 1 && own >= minor);
}

/** Whether the release's line is `v1.<minor>` or newer. A pre-release belongs to its line. */
export function versionAtLeast(version: string, minor: number): boolean {
  const parsed = parseVersion(version);
  return parsed.major > 1 || (parsed.major === 1 && parsed.minor >= minor);
}
