import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { factsOf } from "../etcdSnapshot.ts";
import { resolveTools } from "../../tools/resolve.ts";

/** Checks what this program and its simulated nodes assume about etcd versions against real etcd 3.6 and 3.7. */

let etcd: Record<"3.6" | "3.7", string>;
let folder: string;
const members: Member[] = [];

beforeAll(async () => {
  const tools = await resolveTools(["etcd", "etcd37"]);
  etcd = { "3.6": tools.etcd, "3.7": tools.etcd37 };
  folder = mkdtempSync(join(tmpdir(), "etcd-versions-"));
});

afterEach(async () => {
  await Promise.all(members.splice(0).map((member) => member.stop()));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Status {
  version: string;
  storageVersion: string;
}

/** A member of an etcd cluster: a process that may run a different version each time it starts. */
class Member {
  readonly #address: string;
  readonly #cluster: string[];
  #process: ChildProcess | undefined;
  log = "";

  constructor(address: string, cluster: string[]) {
    this.#address = address;
    this.#cluster = cluster;
    members.push(this);
  }

  run(version: "3.6" | "3.7"): void {
    this.log = "";
    const peer = (address: string): string => `http://${address}:2380`;
    const child = spawn(
      etcd[version],
      [
        `--name=${this.#address}`,
        `--data-dir=${join(folder, this.#address)}`,
        `--listen-client-urls=http://${this.#address}:2379`,
        `--advertise-client-urls=http://${this.#address}:2379`,
        `--listen-peer-urls=${peer(this.#address)}`,
        `--initial-advertise-peer-urls=${peer(this.#address)}`,
        `--initial-cluster=${this.#cluster.map((address) => `${address}=${peer(address)}`).join(",")}`,
        "--unsafe-no-fsync",
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    child.stderr.on("data", (chunk: Buffer) => (this.log += chunk.toString("utf8")));
    this.#process = child;
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill();
    await ended;
  }

  async replace(version: "3.6" | "3.7"): Promise<void> {
    await this.stop();
    this.run(version);
    await until(`etcd ${version} serves on ${this.#address}`, async () =>
      (await this.status()).version.startsWith(version),
    );
  }

  /** The log of a process that must refuse to start. */
  async refusal(version: "3.6" | "3.7"): Promise<string> {
    await this.stop();
    this.run(version);
    const child = this.#process;
    if (child === undefined) throw new Error("nothing was started");
    await once(child, "close", { signal: AbortSignal.timeout(60_000) });
    expect(child.exitCode).not.toBe(0);
    return this.log;
  }

  async call(path: string, body: object = {}): Promise<Record<string, unknown>> {
    return JSON.parse(await this.text(path, body)) as Record<string, unknown>;
  }

  async text(path: string, body: object = {}): Promise<string> {
    const response = await fetch(`http://${this.#address}:2379/v3/${path}`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return text;
  }

  async status(): Promise<Status> {
    return (await this.call("maintenance/status")) as unknown as Status;
  }

  async storage(version: string): Promise<void> {
    await until(`storage is ${version}`, async () => (await this.status()).storageVersion === version);
  }
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const limit = Date.now() + 120_000;
  while (!(await holds().catch(() => false))) {
    if (Date.now() > limit) throw new Error(`not within two minutes: ${what}`);
    await delay(100);
  }
}

/** etcd 3.6's error about newer data. It only reports "invalid downgrade" if the cluster version is newer than the storage version. */
const refused = /version \\"3\.7\.0\\" is not supported/;

const base64 = (text: string): string => Buffer.from(text).toString("base64");

test("etcd 3.6 does not start on 3.7 data, but starts after etcd's own downgrade", async () => {
  const member = new Member("127.46.1.1", ["127.46.1.1"]);
  await member.replace("3.7");
  await member.storage("3.7.0");
  for (let key = 0; key < 500; key++)
    await member.call("kv/put", { key: base64(`key-${key}`), value: base64("x".repeat(2000)) });

  expect(await member.refusal("3.6")).toMatch(refused);

  await member.replace("3.7");
  await expect(member.call("maintenance/downgrade", { action: "VALIDATE", version: "3.5" })).rejects.toThrow(
    /invalid downgrade target version/,
  );
  await member.call("maintenance/downgrade", { action: "VALIDATE", version: "3.6" });
  await member.call("maintenance/downgrade", { action: "ENABLE", version: "3.6" });
  await member.storage("3.6.0");
  // VALIDATE distinguishes a downgrade in progress from none.
  await expect(member.call("maintenance/downgrade", { action: "VALIDATE", version: "3.6" })).rejects.toThrow(
    /invalid downgrade target version/,
  );
  await expect(member.call("maintenance/downgrade", { action: "VALIDATE", version: "3.5" })).rejects.toThrow(
    /downgrade job in progress/,
  );
  await member.replace("3.6");
  const found = (await member.call("kv/range", { key: base64("key-499") }))["count"];
  expect(found).toBe("1");
});

test("two of three members on 3.7 can go back to 3.6: the data only changes once the last one runs 3.7", async () => {
  const addresses = ["127.46.2.1", "127.46.2.2", "127.46.2.3"];
  const three = addresses.map((address) => new Member(address, addresses));
  const [a, b, c] = three as [Member, Member, Member];
  for (const member of three) member.run("3.6");
  for (const member of three) await member.storage("3.6.0");
  await a.replace("3.7");
  await b.replace("3.7");
  // Twice the interval at which etcd's leader checks the versions.
  await delay(8_000);
  expect(await a.status()).toMatchObject({
    version: expect.stringMatching(/^3\.7/) as string,
    storageVersion: "3.6.0",
  });
  await b.replace("3.6");
  await b.replace("3.7");
  await c.replace("3.7");
  for (const member of three) await member.storage("3.7.0");
  expect(await c.refusal("3.6")).toMatch(refused);
});

test("a snapshot ends with its hash, and its revision can be read from it", async () => {
  const member = new Member("127.46.3.1", ["127.46.3.1"]);
  await member.replace("3.6");
  // Values long enough to overflow a page, and enough keys for branch pages.
  for (let key = 0; key < 300; key++)
    await member.call("kv/put", { key: base64(`key-${key}`), value: base64("x".repeat((key % 7) * 3000)) });
  const revision = async (): Promise<number> => {
    const { header } = await member.call("kv/range", { key: base64("none") });
    return Number((header as { revision: string }).revision);
  };
  const snapshot = async (): Promise<Buffer> => {
    const lines = (await member.text("maintenance/snapshot")).trim().split("\n");
    const blobs = lines.map((line) => (JSON.parse(line) as { result: { blob?: string } }).result.blob ?? "");
    return Buffer.concat(blobs.map((blob) => Buffer.from(blob, "base64")));
  };

  const whole = await snapshot();
  expect(factsOf([whole])).toMatchObject({
    size: whole.length,
    hash: "good",
    revision: await revision(),
  });
  // How the snapshot is split into chunks makes no difference.
  const pieces = Array.from({ length: Math.ceil(whole.length / 1000) }, (_, index) =>
    whole.subarray(index * 1000, (index + 1) * 1000),
  );
  expect(factsOf(pieces)).toEqual(factsOf([whole]));

  await member.call("kv/put", { key: base64("key-0"), value: base64("x".repeat(100_000)) });
  expect(factsOf([await snapshot()])).toMatchObject({ revision: await revision(), hash: "good" });
  const { header } = await member.call("kv/deleterange", { key: base64("key-1") });
  const deleted = Number((header as { revision: string }).revision);
  expect(factsOf([await snapshot()])).toMatchObject({ revision: deleted, hash: "good" });

  const broken = Buffer.from(whole);
  broken[5000] = (broken[5000] ?? 0) ^ 1;
  expect(factsOf([broken]).hash).toBe("bad");
  expect(factsOf([whole.subarray(0, 40_000)]).hash).toBe("missing");
});
