import { z } from "zod";
import { sectionSchema } from "../components/csi/fields.ts";
import { weekdays } from "../talos/upgradeWindows.ts";
import { must } from "./messages.ts";

/** The settings of `upgrade.windows`. */

const clockText = "a time of day such as 22:00";
const zoneText = "an IANA time zone such as Europe/Berlin or UTC";

const clockSchema = z.string(must(clockText)).regex(/^([01]\d|2[0-3]):[0-5]\d$/, must(clockText));

/** Intl also accepts offsets such as +01:00, but they ignore daylight saving time, so they are almost certainly a mistake. */
function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

const daysText = `a list of ${weekdays.join(", ")}`;

const windowSchema = sectionSchema({
  days: z
    .array(z.enum(weekdays, must(`one of ${weekdays.join(", ")}`)), must(daysText))
    .min(1, must(`${daysText}, at least one`))
    .default([...weekdays])
    .describe("Days it opens."),
  from: clockSchema.describe("Opening time."),
  to: z
    .string(must(`${clockText}, or 24:00`))
    .regex(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/, must(`${clockText}, or 24:00`))
    .describe("Closing time; earlier than `from` means the next day."),
  timeZone: z.string(must(zoneText)).refine(isTimeZone, must(zoneText)).describe("IANA time zone."),
}).refine(({ from, to }) => from !== to, {
  path: ["to"],
  error: () => "is the same as from; for a whole day, use 00:00 to 24:00",
});

/** When nodes may be disrupted. */
export const windowsSchema = z
  .array(windowSchema, must("a list of windows: days, from, to and timeZone"))
  .default([])
  .describe("Maintenance windows. None: any time.");

/** What a rollout does when no window is open. */
export const outsideWindowSchema = z
  .enum(["stop", "fail"], must("stop or fail"))
  .default("stop")
  .describe("`stop` postpones remaining nodes and succeeds; `fail` fails.");
