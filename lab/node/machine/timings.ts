/**
 * Durations in seconds. talosctl polls again one second after it saw a reboot start, and misses a reboot that is over by then:
 * reboot and boot together should take longer than that.
 */
export interface Timings {
  pullSeconds: number;
  installSeconds: number;
  /** From the call until the API is back. */
  rebootSeconds: number;
  /** From the API's return until the machine is running. */
  bootSeconds: number;
}

/** Default duration of each part of an upgrade, in seconds. */
export const defaultTimings: Timings = {
  pullSeconds: 0.5,
  installSeconds: 1,
  rebootSeconds: 0.7,
  bootSeconds: 0.8,
};
/** Total time of an upgrade, in seconds. */
function upgradeTime(timings: Timings): number {
  return timings.pullSeconds + timings.installSeconds + timings.rebootSeconds + timings.bootSeconds;
}

/** Scales the default proportions to another total. */
export function timingsFor(upgradeSeconds = upgradeTime(defaultTimings)): Timings {
  const factor = upgradeSeconds / upgradeTime(defaultTimings);
  return {
    pullSeconds: defaultTimings.pullSeconds * factor,
    installSeconds: defaultTimings.installSeconds * factor,
    rebootSeconds: defaultTimings.rebootSeconds * factor,
    bootSeconds: defaultTimings.bootSeconds * factor,
  };
}
