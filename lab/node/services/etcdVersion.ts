import { compareEtcdMinors, describeEtcdMinor, etcdMinor } from "../../../talos/etcdVersions.ts";
import { ownMinor } from "./etcdRelease.ts";
import type { Machine } from "../machine/machine.ts";

/**
 * Why etcd doesn't start on a node's data, with its message and exit code; undefined if it starts. An older etcd doesn't
 * know the storage version of its own data (test/lab/etcdVersions.test.ts shows it with a real one), and panics if the cluster
 * it joins has a newer cluster version (etcd v3.7.1 server/etcdserver/version/downgrade.go).
 */
export function etcdRefusal(
  node: Machine,
  serving: readonly Machine[],
): { says: string; exitCode: number } | undefined {
  const known = [node.disk.etcd, ...serving.map(({ disk }) => disk.etcd)]
    .flatMap((data) => etcdMinor(data?.clusterVersion ?? "") ?? [])
    .sort(compareEtcdMinors);
  // etcd reads its own data before it contacts other members.
  const own = etcdMinor(node.disk.etcd?.clusterVersion ?? "");
  const found = own ?? known.at(-1);
  if (found === undefined || compareEtcdMinors(ownMinor(node), found) >= 0) return undefined;
  if (own !== undefined)
    return {
      says: `Failed to validate schema: version "${describeEtcdMinor(own)}.0" is not supported`,
      exitCode: 1,
    };
  return {
    says:
      "invalid downgrade; server version is lower than determined cluster version " +
      `{"current-server-version":"${describeEtcdMinor(ownMinor(node))}.0","determined-cluster-version":"${describeEtcdMinor(found)}"}`,
    exitCode: 2,
  };
}

/**
 * What etcd's leader does every few seconds: once all members run a newer release, it raises the cluster version; for an enabled
 * downgrade, it lowers it to the target. The storage version follows. A downgrade is over once every member runs the older release
 * (etcd v3.7.1 server/etcdserver/version/monitor.go).
 * @param serving the serving members, out of this many `members`
 */
export function followVersions(serving: readonly Machine[], members: number): void {
  // The version of a member that is down is unknown, and then nothing is decided.
  const all = serving.length === members;
  const releases = serving.map(ownMinor).sort(compareEtcdMinors);
  const lowest = releases[0];
  const highest = releases.at(-1);
  if (lowest === undefined || highest === undefined) return;
  const told = serving.flatMap(({ disk }) => etcdMinor(disk.etcd?.clusterVersion ?? "") ?? []);
  let cluster = told.sort(compareEtcdMinors).at(-1) ?? lowest;
  let downgradeTo = serving.map(({ disk }) => disk.etcd?.downgradeTo).find((target) => target !== undefined);
  const target = etcdMinor(downgradeTo ?? "");
  if (target !== undefined) {
    if (told.length > 0) cluster = target;
    if (all && compareEtcdMinors(highest, target) === 0) downgradeTo = undefined;
  } else if (all && compareEtcdMinors(cluster, lowest) < 0) {
    cluster = lowest;
  }
  for (const node of serving) {
    const data = node.disk.etcd;
    const clusterVersion = describeEtcdMinor(cluster);
    if (data === undefined || (data.clusterVersion === clusterVersion && data.downgradeTo === downgradeTo))
      continue;
    data.clusterVersion = clusterVersion;
    if (downgradeTo === undefined) delete data.downgradeTo;
    else data.downgradeTo = downgradeTo;
    node.saveDisk();
  }
}
