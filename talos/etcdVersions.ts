/**
 * The etcd of each Talos release, and what etcd allows between versions. A new Talos line is one more row of `ETCD`. A machine configuration with
 * `cluster.etcd.image` runs that image instead, on any Talos.
 */
import { parseVersion } from "./version.ts";

/** An etcd version without its patch number, like its cluster and storage versions. */
export interface EtcdMinor {
  readonly major: number;
  readonly minor: number;
}

// DefaultEtcdVersion in siderolabs/talos pkg/machinery/constants/constants.go, read at every tag from v1.6.0 to v1.13.9, and in the machinery module at
// v1.14.1. For each Talos minor: the first patch release, and its etcd.
const ETCD: Readonly<Record<number, readonly (readonly [fromPatch: number, etcd: string])[]>> = {
  6: [[0, "3.5.11"]],
  7: [[0, "3.5.13"]],
  8: [
    [0, "3.5.16"],
    [4, "3.5.17"],
  ],
  9: [
    [0, "3.5.17"],
    [3, "3.5.18"],
    [5, "3.5.19"],
    [6, "3.5.21"],
  ],
  10: [
    [0, "3.5.21"],
    [9, "3.5.26"],
  ],
  11: [
    [0, "3.6.4"],
    [3, "3.6.5"],
  ],
  12: [
    [0, "3.6.7"],
    [5, "3.6.8"],
    [7, "3.6.9"],
    [8, "3.6.11"],
  ],
  13: [
    [0, "3.6.9"],
    [1, "3.6.11"],
    [4, "3.6.12"],
  ],
  14: [[0, "3.7.1"]],
};

/**
 * Releases before 3.5.26 can bring back members that were removed long ago once 3.6 takes over their data (https://etcd.io/blog/2025/zombie_members_upgrade/,
 * siderolabs/talos#12467).
 */
export const SAFE_BEFORE_3_6 = { etcd: "3.5.26", talos: "v1.10.9" } as const;

/** The etcd of a Talos release, `3.6.12`; undefined for a line this program doesn't know. */
export function etcdVersionOf(talosVersion: string): string | undefined {
  const { major, minor, patch } = parseVersion(talosVersion);
  const line = major === 1 ? ETCD[minor] : undefined;
  return line?.findLast(([fromPatch]) => patch >= fromPatch)?.[1];
}

/** The version in the tag of an etcd image, `registry.k8s.io/etcd:v3.6.12` gives `3.6.12`; undefined without one. */
export function etcdVersionOfImage(image: string): string | undefined {
  return /:v?(\d+\.\d+\.\d+)(?:[-+@].*)?$/.exec(image)?.[1];
}

/** Undefined for an invalid version: Talos reports `unknown` if it can't tell. */
export function etcdMinor(version: string): EtcdMinor | undefined {
  const match = /^v?(\d{1,4})\.(\d{1,4})(?:\.\d|$)/.exec(version);
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}

export function compareEtcdMinors(a: EtcdMinor, b: EtcdMinor): number {
  return a.major - b.major || a.minor - b.minor;
}

/** `3.6` */
export function describeEtcdMinor({ major, minor }: EtcdMinor): string {
  return `${major}.${minor}`;
}

/** Whether it is a 3.5 that 3.6 must not follow yet. */
export function isUnsafeBefore36(version: string): boolean {
  const match = /^v?3\.5\.(\d+)/.exec(version);
  return match !== null && Number(match[1]) < Number(SAFE_BEFORE_3_6.etcd.split(".")[2]);
}
