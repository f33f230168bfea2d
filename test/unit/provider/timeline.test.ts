import { describe, expect, it } from "vitest";
import { stepNames } from "../../../provider/errors.ts";
import { timelineAfter, type TimelineRun } from "../../../provider/timeline.ts";

const from = { version: "v1.12.7", schematicId: "" };
const to = {
  version: "v1.13.9",
  schematicId: "c907",
  image: "factory.talos.dev/metal-installer/c907:v1.13.9",
};
const at = Date.parse("2026-11-21T03:00:00Z");

function run(
  names: TimelineRun["steps"][number]["name"][],
  change: Partial<TimelineRun> & { begun?: number } = {},
): TimelineRun {
  const { begun = at, ...rest } = change;
  const steps = names.map((name, index) => ({ name, startedAt: begun + index * 2_000, ms: 2_000 }));
  return { from, to, steps, ...rest };
}

const upgrade = run([...stepNames]);
const settled = run(["inspect", "settled?", "verify", "uncordon"], { begun: at + 3_600_000 });
const fallen = run(["inspect", "settled?", "guard", "pull", "drain", "install", "reboot"], {
  failure: { step: "reboot", reason: 'cp1 (10.0.0.11), step "reboot": it never went down.' },
});

describe("the timeline of a node's last upgrade", () => {
  it("has every step with its time, the images, and how it ended", () => {
    expect(timelineAfter(upgrade, undefined)).toMatchObject({
      from,
      to,
      started: "2026-11-21T03:00:00.000Z",
      seconds: 2 * stepNames.length,
      ended: "upgraded",
      steps: [
        { name: "inspect", started: "2026-11-21T03:00:00.000Z", seconds: 2 },
        ...Array.from({ length: stepNames.length - 2 }, () => ({ seconds: 2 })),
        { name: "storage", started: "2026-11-21T03:00:20.000Z", seconds: 2 },
      ],
    });
  });

  it("has the time for which the node was cordoned, if it was", () => {
    expect(timelineAfter({ ...upgrade, cordonedMs: 94_321 }, undefined)).toMatchObject({
      cordonedSeconds: 94.32,
    });
    expect(timelineAfter(upgrade, undefined)).not.toHaveProperty("cordonedSeconds");
  });

  it("is kept by a run that finds the node up to date, and by one that cannot read it", () => {
    const last = timelineAfter(upgrade, undefined);
    expect(timelineAfter(settled, last)).toBe(last);
    const unreachable = run(["inspect"], { failure: { step: "inspect", reason: "no answer" } });
    expect(timelineAfter(unreachable, last)).toBe(last);
    expect(timelineAfter(settled, undefined)).toBeUndefined();
  });

  it("says where and why the upgrade failed", () => {
    const failed = timelineAfter(fallen, timelineAfter(upgrade, undefined));
    expect(failed).toMatchObject({ ended: "failed", failedStep: "reboot", seconds: 14 });
    expect(failed).toMatchObject({ reason: expect.stringContaining("never went down") as string });
  });

  it("of a failed upgrade ends when a later run finds the wanted image, without the time in between", () => {
    const mended = timelineAfter(settled, timelineAfter(fallen, undefined));
    expect(mended).toMatchObject({ ended: "upgraded", started: "2026-11-21T03:00:00.000Z", seconds: 22 });
    expect(mended).not.toHaveProperty("reason");
    expect((mended as { steps: { started: string }[] }).steps.at(-1)?.started).toBe(
      "2026-11-21T04:00:06.000Z",
    );
  });

  it("of a failed upgrade is kept if the node runs another image, and so is an unreadable one", () => {
    const failed = timelineAfter(fallen, undefined);
    const other = { ...settled, to: { ...to, image: "factory.talos.dev/metal-installer/c907:v1.12.7" } };
    expect(timelineAfter(other, failed)).toBe(failed);
    for (const odd of [null, "x", 3, [], { ended: "failed" }, { ended: "failed", steps: 1, to: null }])
      expect(timelineAfter(settled, odd)).toBe(odd);
  });

  it("starts over with the next upgrade", () => {
    const again = timelineAfter(
      { ...upgrade, steps: upgrade.steps.slice(2) },
      timelineAfter(fallen, undefined),
    );
    expect(again).toMatchObject({ ended: "upgraded", seconds: 2 * (stepNames.length - 2) });
  });
});
