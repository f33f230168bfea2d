import { compareEtcdMinors, describeEtcdMinor, etcdMinor } from "../../../talos/etcdVersions.ts";
import { ownMinor } from "./etcdRelease.ts";
import type { Machine } from "../machine/machine.ts";

/**
 * Why etcd does not start on a node's data, with what it says and its exit code; undefined where it does. An older etcd does
 * not know the storage version of its own data (test/lab/etcdVersions.test.ts has it from a real one), and panics over a newer
 * cluster version of those that it joins (etcd v3.7.1 server/etcdserver/version/downgrade.go).
 */
export function etcdRefusal(
  node: Machine,
  serving: readonly Machine[],
): { says: string; exitCode: number } | undefined {
  const known = [node.disk.etcd, ...serving.map(({ disk }) => disk.etcd)]
    .flatMap((data) => etcdMinor(data?.clusterVersion ?? "") ?? [])
    .sort(compareEtcdMinors);
  // Its own data is read before anybody is asked.
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
 * What etcd's leader does every few seconds: once all members run a newer release the cluster version goes up, and down to
 * the target of a downgrade that was enabled; storage follows it; a downgrade is over when every member runs the older release
 * (etcd v3.7.1 server/etcdserver/version/monitor.go).
 * @param serving the members that serve, of so many `members`
 */
export function followVersions(serving: readonly Machine[], members: number): void {
  // Of a member that is down the version is not known, and then nothing is decided.
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
