import { SnapshotReader, type SnapshotFacts } from "../talos/etcdSnapshot.ts";

/** What the program reports for a snapshot that arrives in these chunks. */
export function factsOf(chunks: Iterable<Buffer>): SnapshotFacts {
  const reader = new SnapshotReader();
  for (const chunk of chunks) reader.push(chunk);
  return reader.end();
}
