import { Temporal } from "temporal-polyfill";
import { weekdays, type UpgradeWindow } from "./upgradeWindows.ts";

/** The state of upgrade windows at a moment. Separate from their data because the calendar is slow to load. */

/** Whether a window is open, and until when or when the next one opens, for messages. */
export type WindowState =
  { open: true; closes: string; now: string } | { open: false; opens: string; now: string };

// A window that opens once a week opens within eight days, wherever the week starts.
const daysAhead = 8;

/**
 * The windows at a moment. A time that daylight saving skips moves one hour later that day; if a time occurs twice, the first counts, so a window never closes
 * later than its local time says.
 * @param now milliseconds since 1970
 * @param windows at least one
 */
export function windowStateAt(windows: readonly UpgradeWindow[], now: number): WindowState {
  const moment = Temporal.Instant.fromEpochMilliseconds(now);
  const spans = windows.flatMap((window) => spansAround(window, moment));
  const inside = spans.filter(({ opens, closes }) => isBefore(opens, now) && !isBefore(closes, now));
  const zone = windows[0]?.timeZone ?? "UTC";
  const shownNow = formatTime(moment.toZonedDateTimeISO(zone));
  const closes = inside.map((span) => span.closes).sort(compareTimes);
  const last = closes.at(-1);
  if (last !== undefined) return { open: true, closes: formatTime(last), now: shownNow };
  const [next] = spans
    .map((span) => span.opens)
    .filter((opens) => !isBefore(opens, now))
    .sort(compareTimes);
  if (next === undefined) throw new Error("an upgrade window does not open on any day");
  return { open: false, opens: formatTime(next), now: shownNow };
}

interface Span {
  opens: Temporal.ZonedDateTime;
  closes: Temporal.ZonedDateTime;
}

function spansAround({ days, from, to, timeZone }: UpgradeWindow, moment: Temporal.Instant): Span[] {
  const yesterday = moment.toZonedDateTimeISO(timeZone).toPlainDate().subtract({ days: 1 });
  return (
    Array.from({ length: daysAhead + 2 }, (_, ahead) => yesterday.add({ days: ahead }))
      .filter((day) => days.includes(weekdays[day.dayOfWeek - 1] ?? "mon"))
      .map((day) => ({
        opens: timeOnDay(day, from, timeZone),
        closes:
          to === "24:00" || to <= from
            ? timeOnDay(day.add({ days: 1 }), to, timeZone)
            : timeOnDay(day, to, timeZone),
      }))
      // Windows that daylight saving eliminates.
      .filter(({ opens, closes }) => compareTimes(opens, closes) < 0)
  );
}

function timeOnDay(day: Temporal.PlainDate, clock: string, timeZone: string): Temporal.ZonedDateTime {
  const plainTime = Temporal.PlainTime.from(clock === "24:00" ? "00:00" : clock);
  return day.toZonedDateTime({ timeZone, plainTime });
}

function isBefore(time: Temporal.ZonedDateTime, now: number): boolean {
  return time.epochMilliseconds <= now;
}

function compareTimes(a: Temporal.ZonedDateTime, b: Temporal.ZonedDateTime): number {
  return a.epochMilliseconds - b.epochMilliseconds;
}

/** `Sat 2026-11-28 22:00 Europe/Berlin` */
function formatTime(time: Temporal.ZonedDateTime): string {
  const day = weekdays[time.dayOfWeek - 1] ?? "";
  const name = day.slice(0, 1).toUpperCase() + day.slice(1);
  return `${name} ${time.toPlainDate().toString()} ${time.toPlainTime().toString({ smallestUnit: "minute" })} ${time.timeZoneId}`;
}
