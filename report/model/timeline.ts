import { z } from "zod";
import { redactMessage } from "../digest/values.ts";

/** The last upgrade of a node as its state has it (the output `timeline` of a NodeUpgrade). */
export interface Timeline {
  from: Image;
  to: Image;
  /** Milliseconds since 1970. */
  started: number;
  ended: number;
  /** How long it was worked at. */
  seconds: number;
  /** `cancelled`: somebody stopped it, and nothing was wrong with the node. */
  result: "upgraded" | "failed" | "cancelled";
  failedStep?: string;
  reason?: string;
  steps: TimelineStep[];
}

export interface Image {
  version: string;
  /** Empty for an image that no factory made. */
  schematicId: string;
}

export interface TimelineStep {
  name: string;
  started: number;
  seconds: number;
}

const momentSchema = z.string().transform((text, context) => {
  const at = Date.parse(text);
  if (Number.isNaN(at)) context.addIssue("is not a timestamp");
  return at;
});
const secondsSchema = z.number().nonnegative();
const imageSchema = z.object({ version: z.string(), schematicId: z.string() });

const timelineSchema = z.object({
  from: imageSchema,
  to: imageSchema,
  started: momentSchema,
  seconds: secondsSchema,
  ended: z.enum(["upgraded", "failed", "cancelled"]),
  failedStep: z.string().optional(),
  reason: z.string().optional(),
  steps: z.array(z.object({ name: z.string(), started: momentSchema, seconds: secondsSchema })).min(1),
});

/** Undefined for a node that was never upgraded, or whose state is of another form. */
export function parseTimeline(value: unknown): Timeline | undefined {
  const parsed = timelineSchema.safeParse(value);
  if (!parsed.success) return undefined;
  const { ended: result, failedStep, reason, ...rest } = parsed.data;
  return {
    ...rest,
    result,
    ended: Math.max(...rest.steps.map((step) => step.started + step.seconds * 1000)),
    ...(failedStep === undefined ? {} : { failedStep }),
    ...(reason === undefined ? {} : { reason: redactMessage(reason) }),
  };
}
