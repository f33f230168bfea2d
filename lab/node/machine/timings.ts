/**
 * How long things take, in seconds. talosctl looks again a second after it saw a reboot begin and misses what was over by then:
 * for its sake reboot and boot should take longer than that together.
 */
export interface Timings {
  pullSeconds: number;
  installSeconds: number;
  /** From the call to the return of the API. */
  rebootSeconds: number;
  /** From the return of the API to a running machine. */
  bootSeconds: number;
}

/** How long each part of an upgrade takes by default, in seconds. */
export const defaultTimings: Timings = {
  pullSeconds: 0.5,
  installSeconds: 1,
  rebootSeconds: 0.7,
  bootSeconds: 0.8,
};
/** What an upgrade takes in all, in seconds. */
function upgradeTime(timings: Timings): number {
  return timings.pullSeconds + timings.installSeconds + timings.rebootSeconds + timings.bootSeconds;
}

/** The default's proportions for another time in all. */
export function timingsFor(upgradeSeconds = upgradeTime(defaultTimings)): Timings {
  const factor = upgradeSeconds / upgradeTime(defaultTimings);
  return {
    pullSeconds: defaultTimings.pullSeconds * factor,
    installSeconds: defaultTimings.installSeconds * factor,
    rebootSeconds: defaultTimings.rebootSeconds * factor,
    bootSeconds: defaultTimings.bootSeconds * factor,
  };
}
