import pLimit from "p-limit";

/** More connections at once take longer than a read may, and a control plane that forwards to all nodes would get as many. */
const maxConcurrentReads = 32;

/** Reads nodes concurrently, a limited number at a time. Results are in the order of the nodes; rejects with the first error. */
export async function readNodes<Node, Result>(
  nodes: readonly Node[],
  read: (node: Node) => Promise<Result>,
): Promise<Result[]> {
  const limit = pLimit(maxConcurrentReads);
  try {
    return await Promise.all(nodes.map((node) => limit(read, node)));
  } finally {
    limit.clearQueue();
  }
}
