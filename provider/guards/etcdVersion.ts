import type { ErrorCode } from "../../talos/errorCodes.ts";
import {
  compareEtcdMinors,
  describeEtcdMinor,
  etcdMinor,
  etcdVersionOf,
  etcdVersionOfImage,
  SAFE_BEFORE_3_6,
  isUnsafeBefore36,
  type EtcdMinor,
} from "../../talos/etcdVersions.ts";
import { VersionError } from "../../talos/version.ts";
import type { Finding } from "./finding.ts";

/** One control plane's etcd, from Talos's EtcdStatus. */
export interface EtcdRelease {
  address: string;
  /** The server: `3.6.12`. */
  version: string;
  /** The data on disk: `3.6.0`. It follows etcd's cluster version. */
  storageVersion: string;
}

/** What an upgrade or rollback means for etcd. */
export interface EtcdStep {
  /** The node to be upgraded. */
  self: string;
  /** Every control plane that answered, including this one. */
  members: readonly EtcdRelease[];
  /** The wanted Talos release. */
  talosVersion: string;
  /** `cluster.etcd.image` of the node's machine configuration: it replaces Talos's own etcd. */
  etcdImage?: string | undefined;
  /** etcd's own downgrade is enabled and not finished. */
  downgrading: boolean;
  /** `upgrade.etcdDowngrade` */
  allowDowngrade: boolean;
  /** A snapshot of the current data exists or will be taken. */
  snapshot: boolean;
}

/** The etcd the node runs afterwards; undefined if unknown. */
export function etcdVersionAfter({
  talosVersion,
  etcdImage,
}: Pick<EtcdStep, "talosVersion" | "etcdImage">): string | undefined {
  if (etcdImage !== undefined) return etcdVersionOfImage(etcdImage);
  try {
    return etcdVersionOf(talosVersion);
  } catch (error) {
    if (error instanceof VersionError) return undefined;
    throw error;
  }
}

/**
 * The oldest etcd that a member can start with: etcd's cluster version. The storage versions show it, with one exception: once all members run a newer release,
 * the cluster version rises within seconds, unless a downgrade holds it (etcd v3.7.1 server/etcdserver/version/monitor.go).
 */
export function clusterVersion(members: readonly EtcdRelease[], downgrading: boolean): EtcdMinor | undefined {
  const stored = highestMinor(members.map(({ storageVersion }) => storageVersion));
  const servers = sortedMinors(members.map(({ version }) => version));
  const lowest = servers.length === members.length ? servers[0] : undefined;
  if (stored === undefined || lowest === undefined) return stored ?? lowest;
  return !downgrading && compareEtcdMinors(lowest, stored) > 0 ? lowest : stored;
}

/** The etcd minor that the cluster must be downgraded to before this node may follow; undefined if no downgrade is needed. */
export function downgradeTarget(step: EtcdStep): EtcdMinor | undefined {
  const target = etcdMinor(etcdVersionAfter(step) ?? "");
  const cluster = clusterVersion(step.members, step.downgrading);
  if (target === undefined || cluster === undefined) return undefined;
  return compareEtcdMinors(target, cluster) < 0 ? target : undefined;
}

/** Findings from etcd's versions. None of them clears by itself. */
export function etcdVersionFindings(step: EtcdStep): Finding[] {
  const after = etcdVersionAfter(step);
  const target = etcdMinor(after ?? "");
  const cluster = clusterVersion(step.members, step.downgrading);
  if (after === undefined || target === undefined || cluster === undefined) return [];
  const refuse = (code: ErrorCode, problem: string, hint: string): Finding[] => [
    { code, problem, hint, mayPass: false },
  ];
  const runs = `${step.etcdImage === undefined ? step.talosVersion : `cluster.etcd.image (${step.etcdImage})`} runs etcd ${after}`;
  const distance = compareEtcdMinors(target, cluster);

  const old = step.members.filter(({ version }) => isUnsafeBefore36(version));
  if (compareEtcdMinors(target, { major: 3, minor: 6 }) >= 0 && old.length > 0) {
    return refuse(
      "etcd-stale-members",
      `${runs}, but ${old.map(({ address, version }) => `${address} still runs ${version}`).join(", ")}: ` +
        `long-removed members can come back when etcd 3.6 reads data of a release older than ${SAFE_BEFORE_3_6.etcd}`,
      `Upgrade every control plane to Talos ${SAFE_BEFORE_3_6.talos} (etcd ${SAFE_BEFORE_3_6.etcd}) first.`,
    );
  }
  if (target.major !== cluster.major || Math.abs(distance) > 1) {
    return refuse(
      "etcd-skips-minor",
      `${runs}, and etcd's data has version ${describeEtcdMinor(cluster)}: etcd moves one minor release at a time`,
      "Set talosVersion to a release in between first: docs/compatibility.md lists the etcd of each.",
    );
  }
  if (distance >= 0) return [];
  if (!step.allowDowngrade) {
    return refuse(
      "etcd-downgrade",
      `${runs}, and etcd's data has version ${describeEtcdMinor(cluster)} (${describeMembers(step.members)}): ` +
        "an older etcd refuses to start on newer data",
      `Use a Talos release with etcd ${describeEtcdMinor(cluster)} or newer. To go back anyway, set upgrade.etcdDowngrade: true: ` +
        "etcd then converts its data first (docs/upgrade.md).",
    );
  }
  if (step.members.length === 1 && !step.snapshot) {
    return refuse(
      "etcd-downgrade-needs-snapshot",
      `${runs}, and etcd's data has version ${describeEtcdMinor(cluster)}: on a single control plane, a failed downgrade leaves no copy of the data`,
      "Set upgrade.etcdSnapshot to take a snapshot first.",
    );
  }
  return [];
}

/** `10.0.0.11 etcd 3.6.12, storage 3.6.0` */
export function describeEtcd({ version, storageVersion }: Omit<EtcdRelease, "address">): string {
  return `etcd ${version}, storage ${storageVersion}`;
}

function describeMembers(members: readonly EtcdRelease[]): string {
  return members.map((member) => `${member.address} has ${describeEtcd(member)}`).join("; ");
}

/** Lowest first, without unparsable versions. */
function sortedMinors(versions: readonly string[]): EtcdMinor[] {
  return versions.flatMap((version) => etcdMinor(version) ?? []).sort(compareEtcdMinors);
}

function highestMinor(versions: readonly string[]): EtcdMinor | undefined {
  return sortedMinors(versions).at(-1);
}
