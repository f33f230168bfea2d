import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { weekdays, type UpgradeWindow } from "../../talos/upgradeWindows.ts";
import { windowStateAt } from "../../talos/windowTimes.ts";

const night: UpgradeWindow = { days: ["fri"], from: "22:00", to: "04:00", timeZone: "Europe/Berlin" };
const at = (iso: string, ...windows: UpgradeWindow[]) =>
  windowStateAt(windows.length === 0 ? [night] : windows, Date.parse(iso));
const open = (iso: string, ...windows: UpgradeWindow[]): boolean => at(iso, ...windows).open;

describe("an upgrade window", () => {
  it("opens by its local time, and past midnight still belongs to the day on which it opened", () => {
    // 2026-11-27 is a Friday. Berlin is one hour ahead of UTC in winter.
    expect(at("2026-11-27T20:59:59Z")).toEqual({
      open: false,
      opens: "Fri 2026-11-27 22:00 Europe/Berlin",
      now: "Fri 2026-11-27 21:59 Europe/Berlin",
    });
    expect(at("2026-11-27T21:00:00Z")).toEqual({
      open: true,
      closes: "Sat 2026-11-28 04:00 Europe/Berlin",
      now: "Fri 2026-11-27 22:00 Europe/Berlin",
    });
    expect(open("2026-11-28T02:59:59Z")).toBe(true);
    expect(at("2026-11-28T03:00:00Z")).toMatchObject({
      open: false,
      opens: "Fri 2026-12-04 22:00 Europe/Berlin",
    });
    expect(open("2026-11-28T22:00:00Z")).toBe(false);
  });

  it("may close at midnight, and may overlap with others", () => {
    const evening: UpgradeWindow = { days: ["sat"], from: "20:00", to: "24:00", timeZone: "UTC" };
    const late: UpgradeWindow = { days: ["sat"], from: "23:00", to: "01:00", timeZone: "UTC" };
    expect(open("2026-11-28T23:59:59Z", evening)).toBe(true);
    expect(open("2026-11-29T00:00:00Z", evening)).toBe(false);
    expect(at("2026-11-28T23:30:00Z", evening, late)).toMatchObject({ closes: "Sun 2026-11-29 01:00 UTC" });
    const allDay: UpgradeWindow = { days: ["sun"], from: "00:00", to: "24:00", timeZone: "UTC" };
    expect(open("2026-11-29T00:00:00Z", allDay)).toBe(true);
    expect(open("2026-11-29T23:59:59Z", allDay)).toBe(true);
    expect(open("2026-11-30T00:00:00Z", allDay)).toBe(false);
  });

  it("follows local time when daylight saving begins and ends", () => {
    const early: UpgradeWindow = { days: ["sun"], from: "01:00", to: "04:00", timeZone: "Europe/Berlin" };
    // 2026-03-29: 02:00 becomes 03:00, so the three hours take two.
    expect(open("2026-03-28T23:59:59Z", early)).toBe(false);
    expect(open("2026-03-29T00:00:00Z", early)).toBe(true);
    expect(open("2026-03-29T01:59:59Z", early)).toBe(true);
    expect(open("2026-03-29T02:00:00Z", early)).toBe(false);
    // 2026-10-25: 03:00 becomes 02:00, so they take four.
    expect(open("2026-10-24T23:00:00Z", early)).toBe(true);
    expect(open("2026-10-25T02:59:59Z", early)).toBe(true);
    expect(open("2026-10-25T03:00:00Z", early)).toBe(false);
  });

  it("opens an hour later if daylight saving skips its start, and closes at the first of two equal times", () => {
    const skipped: UpgradeWindow = {
      days: ["sun"],
      from: "02:00",
      to: "02:30",
      timeZone: "America/New_York",
    };
    // 2026-03-08: 02:00 becomes 03:00 (07:00 UTC).
    expect(open("2026-03-08T06:59:59Z", skipped)).toBe(false);
    expect(open("2026-03-08T07:00:00Z", skipped)).toBe(true);
    expect(open("2026-03-08T07:30:00Z", skipped)).toBe(false);
    const twice: UpgradeWindow = { days: ["sun"], from: "01:00", to: "01:30", timeZone: "America/New_York" };
    // 2026-11-01: 01:00 occurs at 05:00 and at 06:00 UTC.
    expect(open("2026-11-01T05:00:00Z", twice)).toBe(true);
    expect(open("2026-11-01T05:30:00Z", twice)).toBe(false);
    expect(open("2026-11-01T06:15:00Z", twice)).toBe(false);
  });

  it("supports zones with unusual offsets, and shows the next of several windows in its own zone", () => {
    const kathmandu: UpgradeWindow = {
      days: ["mon"],
      from: "00:15",
      to: "01:00",
      timeZone: "Asia/Kathmandu",
    };
    expect(open("2026-11-29T18:30:00Z", kathmandu)).toBe(true);
    expect(open("2026-11-29T18:29:59Z", kathmandu)).toBe(false);
    expect(at("2026-11-29T18:00:00Z", night, kathmandu)).toMatchObject({
      opens: "Mon 2026-11-30 00:15 Asia/Kathmandu",
    });
  });

  it("is open exactly while the local time in its zone is within it", () => {
    const clock = fc.integer({ min: 0, max: 47 }).map((half) => {
      const hour = String(Math.floor(half / 2)).padStart(2, "0");
      return `${hour}:${half % 2 === 0 ? "00" : "30"}`;
    });
    const zone = fc.constantFrom("UTC", "Asia/Tokyo", "Asia/Kathmandu", "America/Phoenix", "Asia/Dubai");
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.constantFrom(...weekdays), { minLength: 1 }),
        clock,
        clock,
        zone,
        fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2027, 0, 1) }),
        (days, from, to, timeZone, now) => {
          fc.pre(from !== to);
          // These zones have no daylight saving, so local time alone decides.
          const parts = new Intl.DateTimeFormat("en-GB", {
            timeZone,
            weekday: "short",
            hour: "2-digit",
            minute: "2-digit",
            hourCycle: "h23",
          }).formatToParts(now);
          const part = (type: string): string => parts.find((one) => one.type === type)?.value ?? "";
          const today = weekdays.findIndex((day) => day === part("weekday").toLowerCase());
          const wall = `${part("hour")}:${part("minute")}`;
          const yesterday = weekdays[(today + 6) % 7] ?? "mon";
          const opensToday =
            days.includes(weekdays[today] ?? "mon") && wall >= from && (to <= from || wall < to);
          const stillOpen = to < from && days.includes(yesterday) && wall < to;
          expect(windowStateAt([{ days, from, to, timeZone }], now).open).toBe(opensToday || stillOpen);
        },
      ),
      { numRuns: 500 },
    );
  });
});
