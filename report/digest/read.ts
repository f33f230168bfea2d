import { isRecord } from "../../talos/values.ts";
import { z } from "zod";
import {
  diagnosticSchema,
  digestOf,
  DigestError,
  policySchema,
  stepSchema,
  type Digest,
  type RawPreview,
} from "./digest.ts";

/** Two forms of a preview: the engine's events, one a line, and the one document that `pulumi preview --json` prints. */

const config = z.record(z.string(), z.unknown()).nullish();

const eventSchema = z.object({
  preludeEvent: z.object({ config }).nullish(),
  resourcePreEvent: z.object({ metadata: stepSchema }).nullish(),
  diagnosticEvent: diagnosticSchema.nullish(),
  policyEvent: policySchema.nullish(),
  summaryEvent: z.object({ result: z.string().nullish() }).nullish(),
});

const documentSchema = z.object({
  config,
  steps: z.array(stepSchema).nullish(),
  diagnostics: z.array(diagnosticSchema).nullish(),
  changeSummary: z.record(z.string(), z.unknown()).nullish(),
});

export type EngineEvents = readonly unknown[];

/** @param names of the project and the stack, where they are known better than from the events. */
export function digestFromEvents(events: EngineEvents, names?: { project: string; stack: string }): Digest {
  const raw: RawPreview = { config: {}, steps: [], diagnostics: [], policies: [] };
  for (const given of events) {
    const parsed = eventSchema.safeParse(given);
    if (!parsed.success)
      throw new DigestError(`an engine event is not of the known form (${describeIssue(parsed.error)})`);
    const event = parsed.data;
    if (event.preludeEvent != null) raw.config = textValues(event.preludeEvent.config);
    if (event.resourcePreEvent != null) raw.steps.push(event.resourcePreEvent.metadata);
    if (event.diagnosticEvent != null) raw.diagnostics.push(event.diagnosticEvent);
    if (event.policyEvent != null) raw.policies.push(event.policyEvent);
    if (event.summaryEvent?.result === "failed") raw.failed = true;
  }
  return digestOf(raw, names);
}

/**
 * What somebody has saved: `pulumi preview --json > file`, or the engine's events.
 * @throws DigestError that says what is wrong with it.
 */
export function digestFromText(text: string): Digest {
  const whole = parseJsonOrUndefined(text);
  if (whole === undefined) {
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    const events = lines.map(parseJsonOrUndefined);
    if (lines.length === 0)
      throw new DigestError("it is empty; `pulumi preview --json` prints nothing if it cannot start");
    if (events.includes(undefined)) throw new DigestError("it is neither JSON nor a JSON value on each line");
    return digestFromEvents(events);
  }
  if (isRecord(whole) && Object.keys(whole).some((key) => key.endsWith("Event")))
    return digestFromEvents([whole]);
  const parsed = documentSchema.safeParse(whole);
  const isDocument = isRecord(whole) && ["steps", "changeSummary", "diagnostics"].some((key) => key in whole);
  if (!parsed.success || !isDocument)
    throw new DigestError(
      `it is JSON, but not what \`pulumi preview --json\` prints (${parsed.success ? "it has no steps" : describeIssue(parsed.error)})`,
    );
  const { steps, diagnostics } = parsed.data;
  return digestOf({
    config: textValues(parsed.data.config),
    steps: steps ?? [],
    diagnostics: diagnostics ?? [],
    policies: [],
  });
}

function parseJsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function textValues(values: Record<string, unknown> | null | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values ?? {}).map(([key, value]) => [
      key,
      typeof value === "string" ? value : JSON.stringify(value),
    ]),
  );
}

function describeIssue(error: z.ZodError): string {
  const [first] = error.issues;
  return first === undefined ? "unknown" : `${first.path.join(".")}: ${first.message}`;
}
