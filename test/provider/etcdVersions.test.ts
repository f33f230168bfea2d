import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { unwrap, type Properties } from "../../provider/secrets.ts";
import { expectFailure, createHarness, inputsFor, urn } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

/** Upgrades and rollbacks across etcd minor releases, and the snapshot before them, on simulated nodes. */

const clusters: SimulatedCluster[] = [];
let directory: string;
let etcdSnapshot: Properties;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "etcd-snapshots-"));
  etcdSnapshot = { cluster: "test", directory, keep: 3, ageRecipients: [] };
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));
afterAll(async () => {
  await Promise.all(clusters.map((cluster) => cluster.stop()));
});

async function started(subnet: string, version: string, controlPlanes: number): Promise<SimulatedCluster> {
  const cluster = await SimulatedCluster.start({ subnet, version, controlPlanes });
  clusters.push(cluster);
  return cluster;
}

/** Converting etcd's data takes a moment, and so does a boot. */
const timeouts = { serviceMs: 10_000, guardMs: 5_000 };

async function bring(cluster: SimulatedCluster, name: string, change: Properties): Promise<Properties> {
  const { provider } = createHarness(undefined, timeouts);
  const inputs = inputsFor(cluster, name, { timeoutSeconds: 60, ...change });
  return unwrap((await provider.create(urn, inputs)).outs).values;
}

async function refused(cluster: SimulatedCluster, name: string, change: Properties): Promise<string> {
  const { provider } = createHarness(undefined, { guardMs: 300 });
  const inputs = inputsFor(cluster, name, { timeoutSeconds: 60, ...change });
  return (await expectFailure(provider.create(urn, inputs))).message;
}

const untouched = (cluster: SimulatedCluster): boolean =>
  cluster.nodes.every((node) => node.installs.length === 0 && node.snapshot().reboots === 0);
const snapshots = (): string[] => readdirSync(directory).filter((name) => !name.endsWith(".json"));

test("from etcd 3.5.21 to 3.6 is refused, and names the Talos release to go through", async () => {
  const cluster = await started("127.45.41", "v1.10.8", 1);
  const message = await refused(cluster, "cp1", { talosVersion: "v1.11.6" });
  expect(message).toContain('step "guard": v1.11.6 runs etcd 3.6.5, but 127.45.41.11 still runs 3.5.21');
  expect(message).toContain("Upgrade every control plane to Talos v1.10.9 (etcd 3.5.26) first.");
  expect(untouched(cluster)).toBe(true);
  await bring(cluster, "cp1", { talosVersion: "v1.10.9" });
  await bring(cluster, "cp1", { talosVersion: "v1.11.6" });
  expect(cluster.node("cp1").version).toBe("v1.11.6");
});

test("hops are refused before the first if etcd would skip a minor release beside a control plane with its own release", async () => {
  const cluster = await started("127.45.48", "v1.10.9", 3);
  const of = (name: string, talosVersion: string): Properties => {
    const { image, extensions, services, files } = inputsFor(cluster, name, { talosVersion });
    return { talosVersion, image, extensions, services, files };
  };
  const wanted = Object.entries({ cp1: "v1.14.1", cp2: "v1.14.1", cp3: "v1.10.9" });
  const shared = inputsFor(cluster, "cp1");
  const inputs: Properties = {
    nodes: Object.fromEntries(
      wanted.map(([name, release]) => {
        const { node, role } = inputsFor(cluster, name);
        return [name, { node, role, ...of(name, release) }];
      }),
    ),
    hops: {
      ways: { default: ["v1.11.6", "v1.12.11", "v1.13.9"].map((release) => of("cp1", release)) },
      nodes: Object.fromEntries(wanted.map(([name]) => [name, { way: "default", after: [] }])),
    },
    rollout: {
      nodes: wanted.map(([name, talosVersion]) => ({
        ...{ name, node: cluster.node(name).address, talosVersion },
      })),
    },
    schematicId: shared["schematicId"],
    controlPlanes: shared["controlPlanes"],
    clientConfiguration: shared["clientConfiguration"],
    drain: { enabled: false },
    timeoutSeconds: 60,
  };
  const { provider } = createHarness(undefined, { probeMs: 5_000 });
  const preflightUrn = urn.replace("NodeUpgrade", "RolloutPreflight");
  const { message } = await expectFailure(provider.create(preflightUrn, inputs));
  expect(message).toMatch(
    /cp1 .*on the hop from v1\.13\.9 to v1\.14\.1: v1\.14\.1 runs etcd 3\.7\.1, and etcd's data has version 3\.5.*\[etcd-skips-minor\]/,
  );
  expect(untouched(cluster)).toBe(true);
});

describe("three control planes on etcd 3.7", () => {
  let cluster: SimulatedCluster;
  beforeAll(async () => {
    cluster = await started("127.45.42", "v1.14.1", 3);
  });

  test("do not go back to 3.6: the guard gives the reason and the setting that allows it", async () => {
    const message = await refused(cluster, "cp1", { talosVersion: "v1.13.9" });
    expect(message).toContain("v1.13.9 runs etcd 3.6.12, and etcd's data has version 3.7");
    expect(message).toContain("127.45.42.11 has etcd 3.7.1, storage 3.7.0");
    expect(message).toContain("set upgrade.etcdDowngrade");
    expect(untouched(cluster)).toBe(true);
  });

  test("go back with etcdDowngrade: etcd converts its data first, then nodes follow one at a time", async () => {
    const back = { talosVersion: "v1.13.9", etcdDowngrade: true };
    await bring(cluster, "cp1", back);
    expect(cluster.nodes.map(({ version }) => version)).toEqual(["v1.13.9", "v1.14.1", "v1.14.1"]);
    expect(cluster.nodes.map(({ disk }) => disk.etcd?.clusterVersion)).toEqual(["3.6", "3.6", "3.6"]);
    await bring(cluster, "cp2", back);
    await bring(cluster, "cp3", back);
    expect(cluster.nodes.map(({ version }) => version)).toEqual(["v1.13.9", "v1.13.9", "v1.13.9"]);
    expect(cluster.nodes.every(({ disk }) => disk.etcd?.downgradeTo === undefined)).toBe(true);
  });

  test("go forward again, which cancels a half-finished downgrade", async () => {
    for (const name of ["cp1", "cp2", "cp3"]) await bring(cluster, name, { talosVersion: "v1.14.1" });
    await bring(cluster, "cp1", { talosVersion: "v1.13.9", etcdDowngrade: true });
    expect(cluster.node("cp2").disk.etcd?.downgradeTo).toBe("3.6");
    await bring(cluster, "cp1", { talosVersion: "v1.14.1" });
    expect(cluster.nodes.map(({ disk }) => disk.etcd?.downgradeTo)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(cluster.node("cp1").disk.etcd?.clusterVersion).toBe("3.7");
  });
});

describe("a single control plane", () => {
  test("goes back only with a snapshot, which is taken first", async () => {
    const cluster = await started("127.45.43", "v1.14.1", 1);
    const back = { talosVersion: "v1.13.9", etcdDowngrade: true };
    expect(await refused(cluster, "cp1", back)).toContain("Set upgrade.etcdSnapshot");
    const { takenSnapshot } = await bring(cluster, "cp1", { ...back, etcdSnapshot });
    expect(cluster.node("cp1").version).toBe("v1.13.9");
    expect(snapshots()).toHaveLength(1);
    expect(takenSnapshot).toMatchObject({ path: join(directory, snapshots()[0] ?? ""), revision: 1001 });
  });

  test("that fell back after the new etcd had run gets an error that names the cause", async () => {
    const cluster = await started("127.45.44", "v1.13.9", 1);
    const node = cluster.node("cp1");
    node.faults.set("falls-back-late", { once: true });
    const { message } = await expectFailure(bring(cluster, "cp1", { talosVersion: "v1.14.1", etcdSnapshot }));
    expect(message).toContain('step "verify": the node rebooted, but runs its old image again');
    expect(message).toContain("etcd 3.6.12 of that image does not start on data that etcd 3.7.1 has written");
    expect(message).toMatch(/talosctl.*upgrade.*snapshot/s);
  });
});

describe("the snapshot", () => {
  test("is taken before the first control plane is disturbed, once per rollout", async () => {
    const cluster = await started("127.45.45", "v1.13.9", 3);
    const change = { talosVersion: "v1.13.7", etcdSnapshot };
    const first = await bring(cluster, "cp1", change);
    const content = readFileSync((first["takenSnapshot"] as { path: string }).path);
    expect(first["takenSnapshot"]).toMatchObject({ size: content.length, revision: 1003 });
    const second = await bring(cluster, "cp2", change);
    expect(second["takenSnapshot"]).toEqual(first["takenSnapshot"]);
    expect(snapshots()).toHaveLength(1);
    await bring(cluster, "cp3", { ...change, talosVersion: "v1.13.6" });
    expect(snapshots()).toHaveLength(2);
  });

  test("stops the upgrade before anything is touched if it cannot be taken", async () => {
    const cluster = await started("127.45.46", "v1.13.9", 1);
    writeFileSync(join(directory, "taken"), "a file where the folder should be");
    const blocked = { ...etcdSnapshot, directory: join(directory, "taken") };
    const message = await refused(cluster, "cp1", { talosVersion: "v1.13.7", etcdSnapshot: blocked });
    expect(message).toMatch(/no snapshot of etcd: .*taken.*: E/);
    expect(message).toContain("It has not rebooted, and runs v1.13.9");
    expect(cluster.node("cp1").snapshot().reboots).toBe(0);
  });

  test("is not taken for a node that is up to date, and the state keeps the last one", async () => {
    const cluster = await started("127.45.47", "v1.13.9", 1);
    const { provider } = createHarness(undefined, timeouts);
    const inputs = inputsFor(cluster, "cp1", { talosVersion: "v1.13.7", etcdSnapshot, timeoutSeconds: 60 });
    const { id, outs } = await provider.create(urn, inputs);
    const before = unwrap(outs).values["takenSnapshot"];
    expect(before).toBeDefined();
    const again = await provider.update(id, urn, outs, inputs);
    expect(unwrap(again.outs).values["takenSnapshot"]).toEqual(before);
    expect(snapshots()).toHaveLength(1);
    const read = await provider.read(id, urn, again.outs);
    expect(unwrap(read.props).values["takenSnapshot"]).toEqual(before);
    expect(Object.keys(unwrap(read.inputs).values)).not.toContain("takenSnapshot");
  });
});
