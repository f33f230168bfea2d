import { createHash, type Hash } from "node:crypto";

/** What is known about an etcd snapshot after reading all of it. */
export interface SnapshotFacts {
  /** Size in bytes as sent by etcd, including its hash. */
  readonly size: number;
  /** SHA-256 of all these bytes, in hexadecimal: the file's `sha256sum`. */
  readonly sha256: string;
  /** `good`: the hash that etcd appended matches the content. */
  readonly hash: "good" | "bad" | "missing";
  /** etcd's revision; undefined if the database could not be read. */
  readonly revision: number | undefined;
}

const hashLength = 32;
const pageHeader = 16;
const elementSize = 16;
const branchPage = 0x01;
const leafPage = 0x02;
const bucketElement = 1;
const magic = 0xed0cdaed;
const revisionKeyLength = 17;

/** The last element of a page: a branch's child, or a leaf's key. */
type Last = { readonly child: number } | { readonly key: Buffer };

/**
 * Inspects an etcd snapshot while it is streamed, so that no part of it has to be on disk in plain text.
 *
 * A snapshot is a bbolt database followed by its SHA-256. The revision is the last key of the bucket `key`: eight bytes of main revision, `_`, eight bytes of
 * the revision within a transaction (etcd server/storage/mvcc/revision.go). The bucket can be on any page, so the last element of each page is kept (bbolt
 * internal/common/page.go, meta.go).
 */
export class SnapshotReader {
  readonly #all = createHash("sha256");
  readonly #database: Hash = createHash("sha256");
  /** The last bytes so far: they may be etcd's hash. */
  #tail: Buffer = Buffer.alloc(0);
  #page: Buffer = Buffer.alloc(0);
  #pageSize = 0;
  #offset = 0;
  #size = 0;
  #root: { page: number; transaction: bigint } | undefined;
  readonly #last = new Map<number, Last>();
  /** Bucket pages by page ID: name and root page of each bucket in them. */
  readonly #buckets = new Map<number, Map<string, number>>();
  /** Keys stored beyond their own page, by their offset in the database. */
  readonly #ahead = new Map<number, { page: number; length: number }>();

  push(chunk: Buffer): void {
    this.#size += chunk.length;
    this.#all.update(chunk);
    const held = Buffer.concat([this.#tail, chunk]);
    const known = held.subarray(0, Math.max(0, held.length - hashLength));
    this.#tail = Buffer.from(held.subarray(known.length));
    this.#database.update(known);
    this.#pages(known);
  }

  end(): SnapshotFacts {
    const whole = this.#size > hashLength && this.#size % 512 === hashLength;
    const good = this.#database.digest().equals(this.#tail);
    return {
      size: this.#size,
      sha256: this.#all.digest("hex"),
      hash: whole ? (good ? "good" : "bad") : "missing",
      revision: this.#revision(),
    };
  }

  #pages(bytes: Buffer): void {
    this.#page = Buffer.concat([this.#page, bytes]);
    if (this.#pageSize === 0) {
      if (this.#page.length < pageHeader + 16) return;
      const size = this.#page.readUInt32LE(pageHeader + 8);
      const isDatabase = this.#page.readUInt32LE(pageHeader) === magic && size >= 512 && size <= 1 << 16;
      // Other content is still hashed and counted.
      this.#pageSize = isDatabase ? size : -1;
    }
    if (this.#pageSize < 0) {
      this.#page = Buffer.alloc(0);
      return;
    }
    while (this.#page.length >= this.#pageSize) {
      this.#read(this.#page.subarray(0, this.#pageSize), this.#offset / this.#pageSize);
      this.#offset += this.#pageSize;
      this.#page = Buffer.from(this.#page.subarray(this.#pageSize));
    }
  }

  #read(page: Buffer, id: number): void {
    for (const [at, { page: owner, length }] of this.#ahead) {
      if (at < this.#offset || at + length > this.#offset + page.length) continue;
      this.#last.set(owner, {
        key: Buffer.from(page.subarray(at - this.#offset, at - this.#offset + length)),
      });
      this.#ahead.delete(at);
    }
    if (id < 2) this.#meta(page);
    // The inside of a long value can look like a page boundary.
    if (Number(page.readBigUInt64LE(0)) !== id) return;
    const flags = page.readUInt16LE(8);
    const count = page.readUInt16LE(10);
    const end = pageHeader + count * elementSize;
    if (count === 0 || (flags !== branchPage && flags !== leafPage)) return;
    if (flags === leafPage && page.readUInt32LE(pageHeader) === bucketElement)
      this.#bucketPage(page, id, count);
    // The element table continues on the next page; revision pages never have that many elements.
    if (end > page.length) return;
    const element = end - elementSize;
    if (flags === branchPage) {
      this.#last.set(id, { child: Number(page.readBigUInt64LE(element + 8)) });
      return;
    }
    const at = element + page.readUInt32LE(element + 4);
    const length = page.readUInt32LE(element + 8);
    if (at + length <= page.length) this.#last.set(id, { key: Buffer.from(page.subarray(at, at + length)) });
    else if (length <= 2 * revisionKeyLength) this.#ahead.set(this.#offset + at, { page: id, length });
  }

  #meta(page: Buffer): void {
    const meta = page.subarray(pageHeader);
    const transaction = meta.readBigUInt64LE(48);
    if (meta.readUInt32LE(0) !== magic || (this.#root?.transaction ?? -1n) > transaction) return;
    this.#root = { page: Number(meta.readBigUInt64LE(16)), transaction };
  }

  #bucketPage(page: Buffer, id: number, count: number): void {
    const buckets = new Map<string, number>();
    for (let index = 0; index < count; index++) {
      const element = pageHeader + index * elementSize;
      if (element + elementSize > page.length) return;
      const at = element + page.readUInt32LE(element + 4);
      const length = page.readUInt32LE(element + 8);
      if (page.readUInt32LE(element) !== bucketElement || at + length + 8 > page.length) continue;
      buckets.set(page.toString("latin1", at, at + length), Number(page.readBigUInt64LE(at + length)));
    }
    this.#buckets.set(id, buckets);
  }

  #revision(): number | undefined {
    if (this.#root === undefined) return undefined;
    const root = this.#buckets.get(this.#root.page)?.get("key");
    const seen = new Set<number>();
    for (let id = root; id !== undefined && !seen.has(id);) {
      seen.add(id);
      const last = this.#last.get(id);
      if (last === undefined) return undefined;
      if ("key" in last) {
        const isRevision = last.key.length >= revisionKeyLength && last.key[8] === 0x5f;
        return isRevision ? Number(last.key.readBigUInt64BE(0)) : undefined;
      }
      id = last.child;
    }
    return undefined;
  }
}
