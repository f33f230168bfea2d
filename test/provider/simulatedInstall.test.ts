import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SimulatedNode } from "../../lab/node/node.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { getResource } from "../../talos/api/cosi.ts";
import { loadTalosApi } from "../../talos/api/load.ts";
import type { TalosActor } from "../../talos/api/talosClient.ts";
import { Transport } from "../../talos/api/transport.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

/** What an installation leaves on a node, as observed on real Talos 1.13 (GRUB slots, META, kernel log). */

const clusters: SimulatedCluster[] = [];
const open: { close: () => void }[] = [];

async function started(subnet: string, version: string): Promise<SimulatedCluster> {
  const cluster = await SimulatedCluster.start({ subnet, controlPlanes: 1, workers: 1, version });
  clusters.push(cluster);
  return cluster;
}

function connected(cluster: SimulatedCluster, node: SimulatedNode) {
  const connection = { endpoint: node.address, credentials: cluster.credentials };
  const client: TalosActor = connectActor(connection);
  const transport = new Transport(connection);
  open.push(client, transport);
  const text = async (method: "Dmesg" | "Logs", request: object): Promise<string> => {
    let all = "";
    for await (const message of transport.stream(loadTalosApi().machine, method, request))
      all += String(message["bytes"]);
    return all;
  };
  return {
    client,
    dmesg: () => text("Dmesg", {}),
    machined: () => text("Logs", { id: "machined", namespace: "system" }),
    meta: async (key: string) =>
      (await getResource(transport, "runtime", "MetaKeys.runtime.talos.dev", key))?.spec["value"],
    install: async (version: string) => {
      const name = await client.pull(cluster.image(version), () => undefined);
      return { name, exitCode: await client.install(name, () => undefined) };
    },
    reboot: async () => {
      const boots = node.boots.length;
      await client.reboot();
      await until(() => node.boots.length > boots && node.snapshot().ready);
    },
  };
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const limit = Date.now() + 20_000;
  while (!(await holds())) {
    if (Date.now() > limit) throw new Error("not within 20 s");
    await delay(10);
  }
}

let cluster: SimulatedCluster;
let node: SimulatedNode;

beforeAll(async () => {
  cluster = await started("127.45.21", "v1.13.9");
  node = cluster.node("w1");
});

afterAll(async () => {
  for (const each of open) each.close();
  await Promise.all(clusters.map((each) => each.stop()));
});

describe("an installation", () => {
  test("writes the inactive slot, so a second one overwrites the running image", async () => {
    const { install, reboot } = connected(cluster, node);
    const running = node.boot?.slot ?? "A";
    const other = running === "A" ? "B" : "A";
    await install("v1.13.8");
    expect(node.disk.slots[other]?.version).toBe("v1.13.8");
    expect(node.disk.slots[running]?.version).toBe("v1.13.9");
    await install("v1.13.7");
    expect(node.disk.slots[running]?.version).toBe("v1.13.7");
    expect(Object.values(node.disk.slots).map(({ version }) => version)).not.toContain("v1.13.9");
    await reboot();
    expect(node.version).toBe("v1.13.7");
  });

  test("is recorded in META only between the reboot and a successful boot", async () => {
    const { install, meta, client } = connected(cluster, node);
    expect(await meta("0x09")).toBe("null");
    const running = node.disk.active;
    await install("v1.13.8");
    expect(await meta("0x06")).toBeUndefined();
    const { bootId } = node.snapshot();
    node.faults.set("slow-boot");
    await client.reboot();
    await until(async () => {
      const now = await client.bootId({ deadlineMs: 500 }).catch(() => undefined);
      if (now === undefined) client.reconnect();
      return now !== undefined && now !== bootId;
    });
    expect(await connected(cluster, node).meta("0x06")).toBe(running);
    node.faults.clear();
    await until(() => node.snapshot().ready);
    expect(await connected(cluster, node).meta("0x06")).toBeUndefined();
  });

  test("logs in this boot what was installed and how it ended", async () => {
    const { install, dmesg, reboot } = connected(cluster, node);
    const { name } = await install("v1.13.8");
    expect(name).toMatch(/@sha256:[0-9a-f]{64}$/);
    const seen = await dmesg();
    const lines = seen.split("\n").filter((line) => line.includes("upgrade"));
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/^user: warning: \[\d{4}-\S+Z\]: \[talos\] starting upgrade: installer_image=/);
    expect(lines[0]).toContain(`installer_image=${name}, disk=/dev/sda`);
    expect(lines[1]).toMatch(/\[talos\] upgrade completed successfully: exit_code=0$/);
    await reboot();
    expect(await connected(cluster, node).dmesg()).not.toContain("upgrade");
  });

  test("that fails logs its exit code", async () => {
    const { install, dmesg } = connected(cluster, node);
    node.faults.set("install-exits-nonzero", { once: true });
    expect((await install("v1.13.8")).exitCode).toBe(3);
    expect(await dmesg()).toMatch(/\[talos\] upgrade failed: exit_code=3\n/);
  });

  test("continues when its caller dies, and is still logged", async () => {
    const { client, dmesg, reboot } = connected(cluster, node);
    await reboot();
    const name = await client.pull(cluster.image("v1.13.6"), () => undefined);
    const caller = new AbortController();
    const installing = client
      .install(name, () => undefined, { signal: caller.signal })
      .catch(() => "no answer any more");
    await until(async () => (await dmesg()).includes("starting upgrade"));
    caller.abort();
    expect(await installing).toBe("no answer any more");
    await until(async () => (await dmesg()).includes("upgrade completed successfully"));
    expect(node.disk.slots[node.disk.active ?? "A"]?.version).toBe("v1.13.6");
  });

  test("of Talos 1.14 is logged in machined's log instead of the kernel's, in a different format", async () => {
    // Only the factory has images of 1.14, so the node upgrades from 1.13.
    await connected(cluster, node).install("v1.14.1");
    await connected(cluster, node).reboot();
    expect(node.version).toBe("v1.14.1");
    const { install, dmesg, machined } = connected(cluster, node);
    const { name } = await install("v1.14.1");
    expect(await dmesg()).not.toContain("upgrade");
    const lines = (await machined())
      .split("\n")
      .filter((line) => /starting upgrade|upgrade completed/.test(line));
    expect(lines).toHaveLength(2);
    expect(lines[0]).toContain(`"installer_image":"${name}"`);
    expect(lines[1]).toContain('"exit_code":0');
  });
});
