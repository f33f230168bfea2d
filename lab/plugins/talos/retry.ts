import { setTimeout as sleep } from "node:timers/promises";
import { formatDuration } from "../duration.ts";
import type { ResourceLog } from "../plugin.ts";
import { TalosctlError } from "./talosctl.ts";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 2000;

/**
 * Retries until the attempt succeeds: like the published provider, on every error except InvalidArgument, because a machine that is
 * installing or rebooting refuses connections for a while. The provider's pauses grow to 10 s, ours to 2 s.
 */
export async function retryUntil<T>(
  options: { what: string; timeoutMs: number; signal: AbortSignal; log: ResourceLog },
  attempt: (remainingMs: number) => Promise<T>,
): Promise<T> {
  const deadline = Date.now() + options.timeoutMs;
  let pause = FIRST_PAUSE_MS;
  let lastAnswer = "none";
  for (;;) {
    try {
      return await attempt(Math.max(1, deadline - Date.now()));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const final =
        !(error instanceof TalosctlError) || error.code === "InvalidArgument" || options.signal.aborted;
      if (final) {
        throw new Error(`${options.what}: ${message}`, { cause: error });
      }
      // The last attempt is often cut short; the answer before it is more useful.
      lastAnswer = error.timedOut && lastAnswer !== "none" ? lastAnswer : message;
      if (Date.now() + pause >= deadline) {
        const waited = formatDuration(options.timeoutMs);
        throw new Error(`${options.what}: gave up after ${waited}; last answer: ${lastAnswer}`, {
          cause: error,
        });
      }
      options.log.progress(`${options.what}: trying again: ${message}`);
    }
    await sleep(pause, undefined, { signal: options.signal });
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}
