import type { SnapshotSettings } from "../../talos/inputs/fields.ts";
import { createHash } from "node:crypto";
import { open, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import { Encrypter } from "age-encryption";
import { SnapshotReader, type SnapshotFacts } from "../../talos/etcdSnapshot.ts";

/** A snapshot in the folder. */
export interface SavedSnapshot {
  path: string;
  /** File size in bytes. */
  size: number;
  /** SHA-256 of the file, as printed by `sha256sum`. */
  sha256: string;
  /** etcd's revision; absent if the snapshot didn't reveal it. */
  revision?: number;
  /** When it was taken, ISO 8601 in UTC. */
  taken: string;
  /** What was to run afterwards: the same rollout takes no second snapshot. */
  rollout: string;
}

/** Why there is no snapshot. The message is user-facing. */
export class SnapshotError extends Error {
  override readonly name = "SnapshotError";
}

/** How old a snapshot may be for a rollout that resumes after an interruption. */
const freshMs = 24 * 3600_000;

/** The snapshots of one cluster in their folder. */
export class SnapshotFolder {
  readonly #settings: SnapshotSettings;
  readonly #directory: string;
  readonly #prefix: string;

  constructor(settings: SnapshotSettings) {
    this.#settings = settings;
    this.#directory = resolve(settings.directory);
    this.#prefix = `etcd-${settings.cluster.replaceAll(/[^A-Za-z0-9_.-]/g, "_")}-`;
  }

  /**
   * The snapshot that this rollout has already taken, if it is still there unchanged.
   * @throws SnapshotError if the folder can't be read
   */
  async of(rollout: string, now: Date): Promise<SavedSnapshot | undefined> {
    const names = await this.#snapshotNames().catch((error: unknown) => {
      throw isSystemError(error) ? new SnapshotError(`${this.#directory}: ${error.message}`) : error;
    });
    for (const name of names.reverse()) {
      const saved = await readRecord(join(this.#directory, `${name}.json`));
      const age = now.getTime() - Date.parse(saved?.taken ?? "");
      if (saved === undefined || saved.rollout !== rollout || !(age < freshMs)) continue;
      const path = join(this.#directory, name);
      if ((await hashOf(path)) === saved.sha256) return { ...saved, path };
    }
    return undefined;
  }

  /**
   * Streams a snapshot to disk and keeps it only if it is complete. Older ones of this cluster are pruned.
   * @throws SnapshotError
   */
  async save(content: AsyncIterable<Buffer>, rollout: string, now: Date): Promise<SavedSnapshot> {
    const { ageRecipients, keep } = this.#settings;
    const encrypted = ageRecipients.length > 0;
    const stamp = now.toISOString().replaceAll(/[-:]|\.\d+/g, "");
    const name = `${this.#prefix}${stamp}.db${encrypted ? ".age" : ""}`;
    const path = join(this.#directory, name);
    const part = `${path}.part`;
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      await this.#removeParts();
      const written = await this.#write(part, content);
      const { facts } = written;
      if (facts.hash !== "good") {
        throw new SnapshotError(
          facts.hash === "missing"
            ? `the snapshot ended after ${facts.size} bytes, without the hash that etcd puts at its end`
            : "the snapshot's hash does not match its content: it was damaged in transit",
        );
      }
      const saved: SavedSnapshot = {
        path,
        size: written.size,
        sha256: written.sha256,
        ...(facts.revision === undefined ? {} : { revision: facts.revision }),
        taken: now.toISOString(),
        rollout,
      };
      await writeFile(`${path}.json`, `${JSON.stringify(saved, undefined, 2)}\n`, { mode: 0o600 });
      await rename(part, path);
      await this.#pruneTo(keep);
      return saved;
    } catch (error) {
      await rm(part, { force: true }).catch(() => undefined);
      await rm(`${path}.json`, { force: true }).catch(() => undefined);
      throw isSystemError(error) ? new SnapshotError(`${path}: ${error.message}`) : error;
    }
  }

  async #write(
    path: string,
    content: AsyncIterable<Buffer>,
  ): Promise<{ size: number; sha256: string; facts: SnapshotFacts }> {
    const reader = new SnapshotReader();
    const hash = createHash("sha256");
    let size = 0;
    const file = await open(path, "wx", 0o600);
    try {
      const plain = Readable.from(
        (async function* () {
          for await (const chunk of content) {
            reader.push(chunk);
            yield new Uint8Array(chunk);
          }
        })(),
        { objectMode: true },
      );
      await pipeline(await this.#encrypted(plain), async (chunks: AsyncIterable<Uint8Array>) => {
        for await (const chunk of chunks) {
          hash.update(chunk);
          size += chunk.length;
          await file.writeFile(chunk);
        }
      });
      await file.sync();
    } finally {
      await file.close();
    }
    return { size, sha256: hash.digest("hex"), facts: reader.end() };
  }

  async #encrypted(plain: Readable): Promise<AsyncIterable<Uint8Array>> {
    const { ageRecipients } = this.#settings;
    if (ageRecipients.length === 0) return plain;
    const encrypter = new Encrypter();
    for (const recipient of ageRecipients) encrypter.addRecipient(recipient);
    return await encrypter.encrypt(Readable.toWeb(plain));
  }

  /** Files of this cluster, oldest first: their names contain the time. */
  async #snapshotNames(): Promise<string[]> {
    const own = new RegExp(`^${escapeFileName(this.#prefix)}\\d{8}T\\d{6}Z\\.db(\\.age)?$`);
    const names = await readdir(this.#directory).catch((error: unknown) => {
      if (isSystemError(error) && error.code === "ENOENT") return [];
      throw error;
    });
    return names.filter((name) => own.test(name)).sort();
  }

  /** Leftovers of a killed run: half a snapshot is useless. */
  async #removeParts(): Promise<void> {
    const own = new RegExp(`^${escapeFileName(this.#prefix)}\\d{8}T\\d{6}Z\\.db(\\.age)?\\.part$`);
    for (const name of (await readdir(this.#directory)).filter((found) => own.test(found)))
      await rm(join(this.#directory, name), { force: true });
  }

  async #pruneTo(count: number): Promise<void> {
    for (const name of (await this.#snapshotNames()).slice(0, -count)) {
      await rm(join(this.#directory, name), { force: true });
      await rm(join(this.#directory, `${name}.json`), { force: true });
    }
  }
}

async function readRecord(path: string): Promise<SavedSnapshot | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as SavedSnapshot;
  } catch {
    return undefined; // missing or incomplete: then there is no proof of that snapshot
  }
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  const file = await open(path, "r");
  try {
    for await (const chunk of file.createReadStream({ autoClose: false })) hash.update(chunk as Buffer);
  } finally {
    await file.close();
  }
  return hash.digest("hex");
}

function escapeFileName(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && "syscall" in error;
}
