import { describe, expect, it } from "vitest";
import { formatDuration, type Clock } from "../../../provider/clock.ts";
import { StepProgress } from "../../../provider/progress.ts";

function progressAt(): { progress: StepProgress; lines: string[]; pass: (ms: number) => void } {
  let now = 0;
  const clock: Clock = { now: () => now, sleep: async () => undefined };
  const lines: string[] = [];
  const progress = new StepProgress(
    { status: (text) => void lines.push(text), info: () => undefined, warn: () => undefined },
    clock,
    { begunAt: Date.parse("2026-11-21T03:00:00Z") },
  );
  return { progress, lines, pass: (ms) => void (now += ms) };
}

describe("the status line of a node", () => {
  it("shows each step with the time since the start", () => {
    const { progress, lines, pass } = progressAt();
    progress.step("inspect");
    pass(3_400);
    progress.step("guard", "v1.12.7 to v1.13.9");
    pass(80_000);
    progress.step("drain");
    expect(lines).toEqual([
      "[1/11] inspect · 0 s",
      "[3/11] guard · 3 s · v1.12.7 to v1.13.9",
      "[7/11] drain · 1 min 23 s",
    ]);
  });

  it("shows details of a long step at intervals only", () => {
    const { progress, lines, pass } = progressAt();
    progress.step("drain");
    for (let i = 0; i < 250; i++) {
      pass(100);
      progress.detail(`${250 - i} pods left`);
    }
    expect(lines).toEqual([
      "[7/11] drain · 0 s",
      "[7/11] drain · 10 s · 151 pods left",
      "[7/11] drain · 20 s · 51 pods left",
    ]);
  });

  it("sums up the steps that took time", () => {
    const { progress, pass } = progressAt();
    progress.step("inspect");
    pass(100);
    progress.step("drain");
    pass(3_000);
    progress.step("reboot");
    pass(125_000);
    expect(progress.summary()).toBe("drain 3 s, reboot 2 min 5 s");
  });

  it("has the times of all steps, including the current one", () => {
    const { progress, pass } = progressAt();
    pass(500);
    progress.step("inspect");
    pass(1_500);
    progress.step("guard");
    pass(250);
    const at = Date.parse("2026-11-21T03:00:00Z");
    expect(progress.times()).toEqual([
      { name: "inspect", startedAt: at + 500, ms: 1_500 },
      { name: "guard", startedAt: at + 2_000, ms: 250 },
    ]);
  });

  it("formats durations for people", () => {
    expect([0, 499, 59_400, 60_000, 3_725_000].map(formatDuration)).toEqual([
      "0 s",
      "0 s",
      "59 s",
      "1 min 0 s",
      "62 min 5 s",
    ]);
  });
});
