/** When nodes may be disturbed, as plain data. */

/** Days of the week as the settings write them, Monday first. */
export const weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
/** `mon` to `sun`. */
export type Weekday = (typeof weekdays)[number];

/** A weekly time span. */
export interface UpgradeWindow {
  /** Days on which it opens. */
  days: readonly Weekday[];
  /** Local time at which it opens: `22:00`. */
  from: string;
  /** Local time at which it closes: `04:00` is on the next day if it is not later than `from`; `24:00` is midnight. */
  to: string;
  /** IANA time zone of these times: `Europe/Berlin`. */
  timeZone: string;
}
