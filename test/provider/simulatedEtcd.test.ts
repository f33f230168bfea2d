import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SimulatedNode } from "../../lab/node/node.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { loadTalosApi } from "../../talos/api/load.ts";
import { Transport } from "../../talos/api/transport.ts";
import { factsOf } from "../etcdSnapshot.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

/** etcd versions on simulated nodes. test/lab/etcdVersions.test.ts covers real etcd. */

const clusters: SimulatedCluster[] = [];
const open: { close: () => void }[] = [];

async function started(subnet: string, version: string, controlPlanes: number): Promise<SimulatedCluster> {
  const cluster = await SimulatedCluster.start({ subnet, controlPlanes, version });
  clusters.push(cluster);
  return cluster;
}

afterAll(async () => {
  for (const each of open) each.close();
  await Promise.all(clusters.map((each) => each.stop()));
});

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const limit = Date.now() + 30_000;
  while (!(await holds())) {
    if (Date.now() > limit) throw new Error(`not within 30 s: ${what}`);
    await delay(10);
  }
}

function talos(cluster: SimulatedCluster, node: SimulatedNode) {
  const connection = { endpoint: node.address, credentials: cluster.credentials };
  const client = connectActor(connection);
  const transport = new Transport(connection);
  open.push(client, transport);
  const call = async (method: string, request: object = {}): Promise<Record<string, unknown>> => {
    const response = await transport.unary(loadTalosApi().machine, method, request);
    return (response["messages"] as Record<string, unknown>[])[0] ?? {};
  };
  const downgrade = async (verb: "Validate" | "Enable" | "Cancel", version?: string): Promise<string> => {
    const { clusterDowngrade } = await call(`EtcdDowngrade${verb}`, version === undefined ? {} : { version });
    return (clusterDowngrade as { clusterVersion: string }).clusterVersion;
  };
  return {
    client,
    transport,
    downgrade,
    versions: async () => {
      const status = (await call("EtcdStatus"))["memberStatus"] as Record<string, string>;
      return [status["protocolVersion"], status["storageVersion"]];
    },
    upgrade: async (version: string, ready = true) => {
      const boots = node.boots.length;
      const name = await client.pull(cluster.image(version), () => undefined);
      expect(await client.install(name, () => undefined)).toBe(0);
      await client.reboot();
      await until("a boot", () => node.boots.length > boots && node.snapshot().stage !== "off");
      if (ready) await until("it is ready", () => node.snapshot().ready);
    },
  };
}

const etcdService = (node: SimulatedNode) => node.boot?.services.get("etcd");

describe("a cluster that upgrades from etcd 3.6 to 3.7", () => {
  let cluster: SimulatedCluster;
  const on = (name: string) => talos(cluster, cluster.node(name));

  beforeAll(async () => {
    cluster = await started("127.45.31", "v1.13.9", 3);
  });

  test("runs the etcd of its Talos release", async () => {
    expect(await on("cp1").versions()).toEqual(["3.6.12", "3.6.0"]);
  });

  test("keeps the storage version of 3.6, and the way back, until its last member is upgraded", async () => {
    await on("cp1").upgrade("v1.14.1");
    await on("cp2").upgrade("v1.14.1");
    expect(await on("cp1").versions()).toEqual(["3.7.1", "3.6.0"]);
    await on("cp2").upgrade("v1.13.9");
    expect(await on("cp2").versions()).toEqual(["3.6.12", "3.6.0"]);
    await on("cp2").upgrade("v1.14.1");
    await on("cp3").upgrade("v1.14.1");
    expect(await on("cp1").versions()).toEqual(["3.7.1", "3.7.0"]);
  });

  test("leaves a rolled-back node booting forever, since the old etcd does not start on newer data", async () => {
    const node = cluster.node("cp3");
    await on("cp3").upgrade("v1.13.9", false);
    await until("etcd has failed", () => etcdService(node)?.state === "Waiting");
    expect(etcdService(node)?.events.at(-1)?.msg).toMatch(/going to restart forever.*exit code 1/);
    await delay(500);
    expect(node.snapshot()).toMatchObject({ stage: "booting", ready: false, version: "v1.13.9" });
    await expect(on("cp3").versions()).rejects.toThrow(/connection refused/);
    expect(await on("cp1").versions()).toEqual(["3.7.1", "3.7.0"]);
    await on("cp3").upgrade("v1.14.1");
  });

  test("goes back after etcd's own downgrade, one node at a time", async () => {
    await expect(on("cp1").downgrade("Validate", "3.5")).rejects.toThrow(/invalid downgrade target version/);
    await expect(on("cp1").downgrade("Validate", "v3.6.0")).rejects.toThrow(/MAJOR.MINOR/);
    await expect(on("cp1").downgrade("Cancel")).rejects.toThrow(/no inflight downgrade job/);
    expect(await on("cp1").downgrade("Validate", "3.6")).toBe("3.7");
    await on("cp1").downgrade("Enable", "3.6");
    await expect(on("cp2").downgrade("Validate", "3.6")).rejects.toThrow(/downgrade job in progress/);
    await until("storage is that of 3.6", async () => (await on("cp2").versions())[1] === "3.6.0");
    // etcd checks the target version first, so the error changes once storage is converted.
    await expect(on("cp2").downgrade("Validate", "3.6")).rejects.toThrow(/invalid downgrade target version/);
    await expect(on("cp2").downgrade("Validate", "3.5")).rejects.toThrow(/downgrade job in progress/);
    for (const name of ["cp1", "cp2", "cp3"]) await on(name).upgrade("v1.13.9");
    expect(await on("cp1").versions()).toEqual(["3.6.12", "3.6.0"]);
    await expect(on("cp1").downgrade("Cancel")).rejects.toThrow(/no inflight downgrade job/);
  });

  test("streams a snapshot with its own hash and revision", async () => {
    const { transport } = on("cp1");
    const chunks: Buffer[] = [];
    for await (const { bytes } of transport.stream(loadTalosApi().machine, "EtcdSnapshot", {}))
      chunks.push(bytes as Buffer);
    expect(chunks.length).toBeGreaterThan(1);
    expect(factsOf(chunks)).toMatchObject({ revision: 1003, hash: "good" });
  });
});

test("a single control plane that falls back after the new etcd has run loses etcd", async () => {
  const cluster = await started("127.45.32", "v1.13.9", 1);
  const node = cluster.node("cp1");
  node.faults.set("falls-back-late", { once: true });
  await talos(cluster, node).upgrade("v1.14.1", false);
  await until(
    "the old image runs again",
    () => node.boots.at(-1)?.version === "v1.13.9" && node.boots.length > 2,
  );
  await until("etcd has failed", () => etcdService(node)?.state === "Waiting");
});

test("an older Talos has no downgrade API, and reports the server's version as the storage version", async () => {
  const cluster = await started("127.45.33", "v1.10.9", 1);
  const { versions, downgrade } = talos(cluster, cluster.node("cp1"));
  expect(await versions()).toEqual(["3.5.26", "3.5.0"]);
  await expect(downgrade("Validate", "3.5")).rejects.toThrow(/unknown service or method/);
});
