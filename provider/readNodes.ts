import { performance } from "node:perf_hooks";
import pLimit from "p-limit";

/** Reads at once on a busy machine: of more, each would take longer than a read may. */
const concurrencyWhenBusy = 32;
/** Reads at once while this process only waits for nodes. A control plane that forwards to all nodes gets as many connections. */
const concurrencyWhenWaiting = 256;
const step = { ms: 50, more: 32 };

/**
 * Reads nodes concurrently, more at a time the less this process has to do: connecting takes CPU time, waiting for a slow node does not.
 * Results are in the order of the nodes; rejects with the first error.
 */
export async function readNodes<Node, Result>(
  nodes: readonly Node[],
  read: (node: Node) => Promise<Result>,
): Promise<Result[]> {
  const limit = pLimit(concurrencyWhenBusy);
  let last = performance.eventLoopUtilization();
  const pace = setInterval(() => {
    const now = performance.eventLoopUtilization();
    const isWaiting = performance.eventLoopUtilization(now, last).utilization < 0.5;
    last = now;
    if (isWaiting && limit.concurrency < concurrencyWhenWaiting) limit.concurrency += step.more;
  }, step.ms);
  try {
    return await Promise.all(nodes.map((node) => limit(read, node)));
  } finally {
    clearInterval(pace);
    limit.clearQueue();
  }
}
