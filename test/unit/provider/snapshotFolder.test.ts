import type { SnapshotSettings } from "../../../talos/inputs/fields.ts";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Decrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { snapshotFile } from "../../../lab/node/services/etcdSnapshot.ts";
import { SnapshotError, SnapshotFolder } from "../../../provider/snapshot/folder.ts";

let directory: string;
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "snapshots-"))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const folder = (change: Partial<SnapshotSettings> = {}): SnapshotFolder =>
  new SnapshotFolder({
    cluster: "prod",
    directory: join(directory, "etcd"),
    keep: 2,
    ageRecipients: [],
    ...change,
  });
const at = (minute: number): Date => new Date(Date.UTC(2026, 10, 28, 12, minute));
const files = (): string[] => readdirSync(join(directory, "etcd")).sort();

async function* chunks(content: Buffer, length = 1024): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < content.length; offset += length)
    yield content.subarray(offset, offset + length);
}

const sha256 = (content: Buffer): string => createHash("sha256").update(content).digest("hex");

describe("a snapshot", () => {
  test("is stored as etcd sent it, readable by its owner only, with its metadata", async () => {
    const content = snapshotFile(4711);
    const saved = await folder().save(chunks(content), "v1.13.9", at(0));
    expect(readFileSync(saved.path)).toEqual(content);
    expect(saved).toMatchObject({
      path: join(directory, "etcd", "etcd-prod-20261128T120000Z.db"),
      size: content.length,
      sha256: sha256(content),
      revision: 4711,
      taken: "2026-11-28T12:00:00.000Z",
    });
    expect(statSync(saved.path).mode & 0o777).toBe(0o600);
    expect(statSync(`${saved.path}.json`).mode & 0o777).toBe(0o600);
    expect(statSync(join(directory, "etcd")).mode & 0o777).toBe(0o700);
  });

  test("for age recipients is never stored in plain text, and each of them can decrypt it", async () => {
    const identities = [await generateX25519Identity(), await generateX25519Identity()];
    const ageRecipients = await Promise.all(identities.map((identity) => identityToRecipient(identity)));
    const content = snapshotFile(12);
    const saved = await folder({ ageRecipients }).save(chunks(content), "v1.13.9", at(0));
    expect(saved).toMatchObject({ revision: 12 });
    expect(saved.path).toMatch(/\.db\.age$/);
    const file = readFileSync(saved.path);
    expect(saved).toMatchObject({ size: file.length, sha256: sha256(file) });
    expect(file.includes("/registry/")).toBe(false);
    for (const identity of identities) {
      const decrypter = new Decrypter();
      decrypter.addIdentity(identity);
      expect(Buffer.from(await decrypter.decrypt(file))).toEqual(content);
    }
  });

  test.each([
    [
      "that ends early",
      (content: Buffer) => content.subarray(0, 8192),
      /ended after 8192 bytes, without the hash/,
    ],
    ["that was damaged", (content: Buffer) => flipped(content), /hash does not match its content/],
    ["that is empty", () => Buffer.alloc(0), /ended after 0 bytes/],
  ])("%s is refused and leaves nothing behind", async (_, change, message) => {
    const saving = folder().save(chunks(change(snapshotFile(1))), "v1.13.9", at(0));
    await expect(saving).rejects.toThrow(SnapshotError);
    await expect(saving).rejects.toThrow(message);
    expect(files()).toEqual([]);
  });

  test("whose stream breaks leaves nothing behind, and the stream's own error is kept", async () => {
    async function* breaking(): AsyncGenerator<Buffer> {
      yield snapshotFile(1).subarray(0, 4096);
      throw new Error("the connection broke");
    }
    await expect(folder().save(breaking(), "v1.13.9", at(0))).rejects.toThrow("the connection broke");
    expect(files()).toEqual([]);
  });

  test("that cannot be written causes an error with its path", async () => {
    writeFileSync(join(directory, "etcd"), "a file in the place of the folder");
    await expect(folder().save(chunks(snapshotFile(1)), "v1.13.9", at(0))).rejects.toThrow(
      /etcd-prod-20261128T120000Z\.db: E/,
    );
  });
});

test("the newest snapshots are kept; those of another cluster and other files are left alone", async () => {
  await folder({ cluster: "prod-2" }).save(chunks(snapshotFile(1)), "r", at(0));
  writeFileSync(join(directory, "etcd", "etcd-prod-notes.txt"), "");
  writeFileSync(join(directory, "etcd", "etcd-prod-20261128T115900Z.db.part"), "half");
  for (const minute of [1, 2, 3]) await folder().save(chunks(snapshotFile(minute)), "r", at(minute));
  expect(files().filter((name) => !name.endsWith(".json"))).toEqual([
    "etcd-prod-2-20261128T120000Z.db",
    "etcd-prod-20261128T120200Z.db",
    "etcd-prod-20261128T120300Z.db",
    "etcd-prod-notes.txt",
  ]);
});

describe("a resumed rollout", () => {
  test("finds its own snapshot, but none of another rollout or an earlier week", async () => {
    const saved = await folder().save(chunks(snapshotFile(7)), "v1.14.1", at(0));
    expect(await folder().of("v1.14.1", at(30))).toEqual(saved);
    expect(await folder().of("v1.13.9", at(30))).toBeUndefined();
    expect(await folder().of("v1.14.1", at(25 * 60))).toBeUndefined();
    expect(await folder({ cluster: "other" }).of("v1.14.1", at(30))).toBeUndefined();
  });

  test("does not trust a snapshot that has changed since", async () => {
    const saved = await folder().save(chunks(snapshotFile(7)), "v1.14.1", at(0));
    writeFileSync(saved.path, "something else");
    expect(await folder().of("v1.14.1", at(1))).toBeUndefined();
  });

  test("finds none if there is no folder yet", async () => {
    expect(await folder().of("v1.14.1", at(0))).toBeUndefined();
  });
});

function flipped(content: Buffer): Buffer {
  const changed = Buffer.from(content);
  changed[5000] = (changed[5000] ?? 0) ^ 1;
  return changed;
}
