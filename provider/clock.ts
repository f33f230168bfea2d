import { Cancelled } from "./errors.ts";

/** Time as the steps see it. Tests replace it. */
export interface Clock {
  /** Milliseconds, only meaningful as differences. */
  now(): number;
  /** Throws `Cancelled` as soon as the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Milliseconds since 1970, for calendar-based rules. Default: this machine's clock. */
  calendar?(): number;
  /** Between 0 and 1, for jitter. Default: random. */
  random?(): number;
}

/** Milliseconds since 1970. */
export function wallClockMs({ clock }: { clock: Clock }): number {
  return clock.calendar?.() ?? Date.now();
}

export const realClock: Clock = {
  now: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(new Cancelled());
        return;
      }
      const stop = (): void => {
        clearTimeout(timer);
        reject(new Cancelled());
      };
      const timer = setTimeout(() => {
        signal.removeEventListener("abort", stop);
        resolve();
      }, ms);
      signal.addEventListener("abort", stop, { once: true });
    }),
};

/** `4 s`, `2 min 5 s` */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
