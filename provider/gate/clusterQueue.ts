import { Cancelled } from "../errors.ts";

/** The last entry in each cluster's queue. */
const queues = new Map<string, Promise<void>>();

/**
 * Runs `work` when no other operation works on this cluster: one check, one action and its recovery at a time. Two operations of this process that check at the
 * same moment would both see a healthy cluster. This only orders them; they share no observations.
 * @param cluster the cluster's key
 * @param signal aborts the wait; work that has started is not interrupted
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
