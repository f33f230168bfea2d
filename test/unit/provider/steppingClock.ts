import type { Clock } from "../../../provider/clock.ts";
import { Cancelled } from "../../../provider/errors.ts";

/** Time advances with each wait. @param jitter the constant random number, from 0 to 1 */
export function steppingClock(jitter = 0.5): Clock {
  let now = 0;
  return {
    now: () => now,
    sleep: async (ms) => {
      now += ms;
      await new Promise((resolve) => setImmediate(resolve));
    },
    random: () => jitter,
  };
}

/** Virtual time: when nothing else can run, it advances to the earliest waiter. Concurrent waits overlap. */
export function virtualClock(): Clock {
  let now = 0;
  let ticking = false;
  const sleepers = new Map<() => void, number>();
  const tick = async (): Promise<void> => {
    ticking = true;
    while (sleepers.size > 0) {
      // Lets the code that was just woken run as far as it gets.
      for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
      const [wake, at] = [...sleepers].sort(([, a], [, b]) => a - b)[0] ?? [];
      now = Math.max(now, at ?? now);
      wake?.();
    }
    ticking = false;
  };
  return {
    now: () => now,
    random: () => 0.5,
    sleep: async (ms, signal) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const stop = (): void => reject(new Cancelled());
      if (signal.aborted) stop();
      signal.addEventListener("abort", stop, { once: true });
      sleepers.set(resolve, now + ms);
      if (!ticking) void tick();
      try {
        await promise;
      } finally {
        sleepers.delete(resolve);
        signal.removeEventListener("abort", stop);
      }
    },
  };
}
