import { Cancelled } from "../errors.ts";

/** The last one in the queue of each cluster. */
const queues = new Map<string, Promise<void>>();

/**
 * Runs `work` when nobody else of this cluster is at work: one look, one action and the recovery after it at a time. Two operations of this
 * process that look at the same moment would both see a healthy cluster. This only orders them: nothing that one has seen is known to another.
 * @param cluster what the cluster is known by
 * @param signal ends the waiting; work that has begun is not interrupted
 */
export async function inQueue<T>(cluster: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const before = queues.get(cluster) ?? Promise.resolve();
  const mine = Promise.withResolvers<void>();
  const last = before.then(() => mine.promise);
  queues.set(cluster, last);
  void last.then(() => {
    if (queues.get(cluster) === last) queues.delete(cluster);
  });
  try {
    await waitForPrevious(before, signal);
    return await work();
  } finally {
    mine.resolve();
  }
}

async function waitForPrevious(before: Promise<void>, signal: AbortSignal): Promise<void> {
  const stopped = Promise.withResolvers<never>();
  const stop = (): void => stopped.reject(new Cancelled());
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    await Promise.race([before, stopped.promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
