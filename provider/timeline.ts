import type { StepName } from "./errors.ts";
import type { StepTime } from "./progress.ts";
import type { Properties } from "./secrets.ts";

/** What a node ran, or should run. */
export interface TimelineImage {
  version: string;
  /** Empty for an image not built by a factory. */
  schematicId: string;
}

/** A node's last upgrade, kept in its state: previews use its duration, and rollout reports draw it. */
export interface Timeline {
  from: TimelineImage;
  to: TimelineImage & { image: string };
  /** When it began, ISO 8601 in UTC. */
  started: string;
  /** Working time in seconds; waiting for the next `pulumi up` after a failure doesn't count. */
  seconds: number;
  /** How long the node was cordoned, in seconds; absent if this upgrade didn't cordon it. */
  cordonedSeconds?: number;
  /** `cancelled`: somebody stopped it, and the node was fine. */
  ended: "upgraded" | "failed" | "cancelled";
  /** The step at which it failed or was stopped, and why. */
  failedStep?: StepName;
  reason?: string;
  steps: { name: StepName; started: string; seconds: number }[];
}

/** One run of the steps. */
export interface TimelineRun {
  from: TimelineImage;
  to: Timeline["to"];
  steps: StepTime[];
  failure?: { step: StepName; reason: string; cancelled?: boolean };
  cordonedMs?: number | undefined;
}

/** Steps that only run on a node that will be changed. */
const changingSteps: readonly StepName[] = ["guard", "pull", "install", "gate", "drain", "reboot"];

/**
 * The timeline after a run. A run that found the node up to date is no upgrade and keeps the last timeline; but if that one had failed and the node now runs
 * the desired image after all, this run completes it.
 *
 * @param last the timeline in the state, undefined if there is none.
 */
export function timelineAfter(run: TimelineRun, last: unknown): unknown {
  if (run.steps.some(({ name }) => changingSteps.includes(name))) {
    const steps = run.steps.map(toTimelineStep);
    const ended =
      run.failure === undefined ? "upgraded" : run.failure.cancelled === true ? "cancelled" : "failed";
    return {
      from: run.from,
      to: run.to,
      started: steps[0]?.started ?? "",
      seconds: totalSeconds(steps),
      ...(run.cordonedMs === undefined ? {} : { cordonedSeconds: Math.round(run.cordonedMs / 10) / 100 }),
      ended,
      ...(run.failure === undefined ? {} : { failedStep: run.failure.step, reason: run.failure.reason }),
      steps,
    } satisfies Timeline;
  }
  if (run.failure !== undefined || !isFailedTimeline(last) || last.to.image !== run.to.image) return last;
  const { failedStep: _step, reason: _reason, ...rest } = last;
  const steps = [...last.steps, ...run.steps.map(toTimelineStep)];
  return { ...rest, seconds: totalSeconds(steps), ended: "upgraded", steps } satisfies Timeline;
}

/** As a property of the resource; absent if the node was never upgraded. */
export function toTimelineProperty(timeline: unknown): Properties {
  return timeline === undefined ? {} : { timeline };
}

function toTimelineStep({ name, startedAt, ms }: StepTime): Timeline["steps"][number] {
  return { name, started: new Date(startedAt).toISOString(), seconds: Math.round(ms / 10) / 100 };
}

function totalSeconds(steps: Timeline["steps"]): number {
  return Math.round(steps.reduce((sum, { seconds }) => sum + seconds, 0) * 100) / 100;
}

// A state may be of any age and may have been edited; values that don't look like a timeline are kept as they are.
function isFailedTimeline(value: unknown): value is Timeline {
  const { ended, steps, to } = (value ?? {}) as Partial<Timeline>;
  return (
    (ended === "failed" || ended === "cancelled") && Array.isArray(steps) && typeof to?.image === "string"
  );
}
