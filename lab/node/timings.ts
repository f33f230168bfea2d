import { defaultTimings, type Timings } from "./node.ts";

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
