import { createHash } from "node:crypto";

const pageSize = 4096;
const pageHeader = 16;
const elementSize = 16;
const flags = { leaf: 0x02, meta: 0x04, freelist: 0x10 } as const;
const bucketLeaf = 1;

interface Entry {
  key: Buffer;
  value: Buffer;
  isBucket?: boolean;
}

/**
 * What `etcdctl snapshot save` streams: etcd's own database file followed by its SHA-256. The file is a minimal bbolt
 * database: a bucket `key` with revisions, laid out as etcd does (go.etcd.io/bbolt v1.4 internal/common).
 */
export function snapshotFile(revision: number): Buffer {
  const keys = [1, revision].map((main) => ({ key: revisionKey(main), value: Buffer.from("/registry/lab") }));
  const rootBucket = Buffer.alloc(16);
  rootBucket.writeBigUInt64LE(4n, 0);
  const database = Buffer.concat([
    metaPage(0, 1n),
    metaPage(1, 2n),
    page(2, flags.freelist, 0),
    leafPage(3, [{ key: Buffer.from("key"), value: rootBucket, isBucket: true }]),
    leafPage(4, keys),
  ]);
  return Buffer.concat([database, createHash("sha256").update(database).digest()]);
}

/** etcd's keys in that bucket: main revision, `_`, and the revision within a transaction. */
function revisionKey(main: number): Buffer {
  const key = Buffer.alloc(17);
  key.writeBigUInt64BE(BigInt(main), 0);
  key.write("_", 8);
  return key;
}

function page(id: number, flag: number, count: number): Buffer {
  const content = Buffer.alloc(pageSize);
  content.writeBigUInt64LE(BigInt(id), 0);
  content.writeUInt16LE(flag, 8);
  content.writeUInt16LE(count, 10);
  return content;
}

function leafPage(id: number, entries: Entry[]): Buffer {
  const content = page(id, flags.leaf, entries.length);
  let data = pageHeader + entries.length * elementSize;
  entries.forEach(({ key, value, isBucket }, index) => {
    const element = pageHeader + index * elementSize;
    content.writeUInt32LE(isBucket === true ? bucketLeaf : 0, element);
    content.writeUInt32LE(data - element, element + 4); // relative to the element
    content.writeUInt32LE(key.length, element + 8);
    content.writeUInt32LE(value.length, element + 12);
    data += key.copy(content, data);
    data += value.copy(content, data);
  });
  return content;
}

function metaPage(id: number, transaction: bigint): Buffer {
  const content = page(id, flags.meta, 0);
  const meta = content.subarray(pageHeader);
  meta.writeUInt32LE(0xed0cdaed, 0);
  meta.writeUInt32LE(2, 4);
  meta.writeUInt32LE(pageSize, 8);
  meta.writeBigUInt64LE(3n, 16); // the root bucket's page
  meta.writeBigUInt64LE(2n, 32); // the free list's page
  meta.writeBigUInt64LE(5n, 40); // total number of pages
  meta.writeBigUInt64LE(transaction, 48);
  meta.writeBigUInt64LE(fnv64a(meta.subarray(0, 56)), 56);
  return content;
}

function fnv64a(bytes: Buffer): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
}
