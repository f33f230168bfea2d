import type { StepName } from "./errors.ts";
import type { StepTime } from "./progress.ts";
import type { Properties } from "./secrets.ts";

/** What a node ran, or was to run. */
export interface TimelineImage {
  version: string;
  /** Empty for an image that no factory made. */
  schematicId: string;
}

/** The last upgrade of a node, kept in its state: what a preview tells of the time it takes, and what a rollout report draws. */
export interface Timeline {
  from: TimelineImage;
  to: TimelineImage & { image: string };
  /** When it began, ISO 8601 in UTC. */
  started: string;
  /** How long it was worked at, in seconds; waiting for a next `pulumi up` after a failure is not in it. */
  seconds: number;
  /** How long it took no new pods, in seconds; absent where it was not cordoned by this upgrade. */
  cordonedSeconds?: number;
  /** `cancelled`: somebody stopped it, and nothing was wrong with the node. */
  ended: "upgraded" | "failed" | "cancelled";
  /** The step at which it failed or was stopped, and why. */
  failedStep?: StepName;
  reason?: string;
  steps: { name: StepName; started: string; seconds: number }[];
}

/** One run of the steps, as it went. */
export interface TimelineRun {
  from: TimelineImage;
  to: Timeline["to"];
  steps: StepTime[];
  failure?: { step: StepName; reason: string; cancelled?: boolean };
  cordonedMs?: number | undefined;
}

/** Steps that only a node which is to be changed goes through. */
const changingSteps: readonly StepName[] = ["guard", "pull", "install", "gate", "drain", "reboot"];

/**
 * The timeline after a run. One that found the node settled is no upgrade and leaves the last one's as it was; but where that
 * one had failed, and this run found the node on the wanted image after all, it is the end of it.
 *
 * @param last the timeline in the state, undefined where there is none.
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

/** As a property of the resource; absent where the node was never upgraded. */
export function toTimelineProperty(timeline: unknown): Properties {
  return timeline === undefined ? {} : { timeline };
}

function toTimelineStep({ name, startedAt, ms }: StepTime): Timeline["steps"][number] {
  return { name, started: new Date(startedAt).toISOString(), seconds: Math.round(ms / 10) / 100 };
}

function totalSeconds(steps: Timeline["steps"]): number {
  return Math.round(steps.reduce((sum, { seconds }) => sum + seconds, 0) * 100) / 100;
}

// A state may be of any age and may have been edited; what does not look like a timeline is kept as it is.
function isFailedTimeline(value: unknown): value is Timeline {
  const { ended, steps, to } = (value ?? {}) as Partial<Timeline>;
  return (
    (ended === "failed" || ended === "cancelled") && Array.isArray(steps) && typeof to?.image === "string"
  );
}
