import type { Clock } from "../../../provider/clock.ts";

/** Time that goes by as it is waited for. @param jitter what its random number always is, from 0 to 1 */
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
