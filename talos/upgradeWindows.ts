/** When nodes may be disturbed, as plain data. */

/** Days of the week as the settings write them, Monday first. */
export const weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
/** `mon` to `sun`. */
export type Weekday = (typeof weekdays)[number];

/** A span of time that comes back every week. */
export interface UpgradeWindow {
  /** Days on which it opens. */
  days: readonly Weekday[];
  /** Wall clock at which it opens: `22:00`. */
  from: string;
  /** Wall clock at which it closes: `04:00` is that of the next day where it is not later than `from`; `24:00` is midnight. */
  to: string;
  /** IANA time zone of the wall clock: `Europe/Berlin`. */
  timeZone: string;
}
