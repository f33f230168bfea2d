import { z } from "zod";
import { nameOf, redactProperties, redactMessage, type Properties } from "./values.ts";

/** A preview as the engine made it, in one form whichever way it was read, and without secrets. */
export interface Digest {
  project: string;
  stack: string;
  /** The stack's configuration by full key (`talos-iscsi:upgrade`), as text. Secret ones are marks. */
  config: Record<string, string>;
  steps: Step[];
  messages: Message[];
  /** Compared with the live cluster, not with the state alone. */
  refreshed: boolean;
  /** The engine could not finish it: what is in it is not all that would happen. */
  failed: boolean;
}

const operations = ["same", "create", "update", "replace", "delete", "read", "import"] as const;
export type Operation = (typeof operations)[number];

/** What happens to one resource. */
export interface Step {
  operation: Operation;
  urn: string;
  type: string;
  name: string;
  /** URN of the component that it belongs to. */
  parent?: string;
  old?: ResourceState;
  new?: ResourceState;
  /** Properties whose change makes a replacement necessary. */
  replaceKeys: string[];
  /** What the provider says differs, by its paths. With secrets it is all that can be known of a change. */
  differs: string[];
}

export interface ResourceState {
  inputs: Properties;
  outputs: Properties;
  custom: boolean;
  protect: boolean;
  /** Deleted in the state alone; what it stands for stays. */
  retainOnDelete: boolean;
  /** Why its last operation was not finished. */
  initErrors: string[];
}

export interface Message {
  severity: "error" | "warning";
  text: string;
  /** Name of the resource that it is about. */
  resource?: string;
}

const record = z.record(z.string(), z.unknown());

const stateSchema = z.object({
  parent: z.string().nullish(),
  inputs: record.nullish(),
  outputs: record.nullish(),
  custom: z.boolean().nullish(),
  delete: z.boolean().nullish(),
  protect: z.boolean().nullish(),
  retainOnDelete: z.boolean().nullish(),
  initErrors: z.array(z.string()).nullish(),
});

/** A step as the engine's events and `pulumi preview --json` have it, apart from the names of its states. */
export const stepSchema = z.object({
  op: z.string(),
  urn: z.string(),
  keys: z.array(z.string()).nullish(),
  diffs: z.array(z.string()).nullish(),
  diffReasons: z.array(z.string()).nullish(),
  detailedDiff: record.nullish(),
  replaceReasons: z.array(z.string()).nullish(),
  old: stateSchema.nullish(),
  new: stateSchema.nullish(),
  oldState: stateSchema.nullish(),
  newState: stateSchema.nullish(),
});

export const diagnosticSchema = z.object({
  urn: z.string().nullish(),
  prefix: z.string().nullish(),
  message: z.string().nullish(),
  severity: z.string().nullish(),
  ephemeral: z.boolean().nullish(),
});

export const policySchema = z.object({
  resourceUrn: z.string().nullish(),
  message: z.string(),
  policyName: z.string(),
  policyPackName: z.string(),
  enforcementLevel: z.string(),
});

export type RawStep = z.infer<typeof stepSchema>;
export type RawDiagnostic = z.infer<typeof diagnosticSchema>;
export type RawPolicy = z.infer<typeof policySchema>;

/** What was read of a preview, before it is made fit to show. */
export interface RawPreview {
  config: Record<string, string>;
  steps: RawStep[];
  diagnostics: RawDiagnostic[];
  policies: RawPolicy[];
  /** Told by the engine; undefined where only an error says so. */
  failed?: boolean;
}

/** @throws DigestError where there is nothing of a preview in it. */
export function digestOf(raw: RawPreview, names?: { project: string; stack: string }): Digest {
  const messages = withoutRepeats([
    ...raw.diagnostics.flatMap(toMessages),
    ...raw.policies.map(policyMessage),
  ]);
  const isFailed = raw.failed === true || raw.diagnostics.some(({ severity }) => severity === "error");
  const [, stack, project] = /^urn:pulumi:(.*?)::(.*?)::/.exec(raw.steps[0]?.urn ?? "") ?? [];
  const found = names ?? (stack === undefined || project === undefined ? undefined : { project, stack });
  if (found === undefined && messages.length === 0)
    throw new DigestError("it has no resources and no errors");
  return {
    project: found?.project ?? "",
    stack: found?.stack ?? "",
    config: raw.config,
    steps: stepsOf(raw.steps),
    messages,
    refreshed: raw.steps.some(({ op }) => op === "refresh"),
    failed: isFailed,
  };
}

/** What was given is not a preview. */
export class DigestError extends Error {
  override readonly name = "DigestError";
}

/** One step a resource: the engine tells a replacement in three. What a refresh found is the old state of the step after it. */
function stepsOf(raw: readonly RawStep[]): Step[] {
  const byUrn = new Map<string, Step>();
  const current = new Set(raw.filter((one) => !isCleanup(one)).map(({ urn }) => urn));
  for (const given of raw) {
    if (isCleanup(given) && current.has(given.urn)) continue;
    const operation = operationOf(given.op);
    if (operation === undefined) continue;
    const type = given.urn.split("::")[2]?.split("$").at(-1) ?? "";
    const [before, after] = [given.old ?? given.oldState, given.new ?? given.newState];
    const known = byUrn.get(given.urn);
    const step: Step = {
      operation:
        known === undefined || operationRank(operation) >= operationRank(known.operation)
          ? operation
          : known.operation,
      urn: given.urn,
      type,
      name: nameOf(given.urn),
      differs: known?.differs ?? given.diffs ?? given.diffReasons ?? [],
      replaceKeys: [
        ...new Set([...(known?.replaceKeys ?? []), ...(given.keys ?? given.replaceReasons ?? [])]),
      ],
    };
    const differs = Object.keys(given.detailedDiff ?? {});
    step.differs = [...new Set([...step.differs, ...differs])];
    const old =
      known?.old ?? (isCreation(given.op) || before == null ? undefined : toResourceState(before, type));
    const made = isDeletion(given.op) || after == null ? known?.new : toResourceState(after, type);
    const parent = after?.parent ?? before?.parent ?? known?.parent;
    if (parent != null && parent !== "") step.parent = parent;
    if (old !== undefined) step.old = old;
    if (made !== undefined) step.new = made;
    byUrn.set(given.urn, step);
  }
  return [...byUrn.values()];
}

const isCreation = (op: string) => op === "create";
/** Of what an earlier `up` replaced and did not come to delete: the resource itself stays. */
const isCleanup = ({ op, old, oldState }: RawStep) => op === "delete" && (old ?? oldState)?.delete === true;
const isDeletion = (op: string) => op === "delete" || op === "delete-replaced";

function operationOf(op: string): Operation | undefined {
  if (/^(replace|create-replacement|delete-replaced|import-replacement|read-replacement)$/.test(op))
    return "replace";
  return operations.find((known) => known === op);
}

const ranks: readonly Operation[] = ["same", "read", "create", "import", "update", "delete", "replace"];
const operationRank = (operation: Operation) => ranks.indexOf(operation);

function toResourceState(state: z.infer<typeof stateSchema>, type: string): ResourceState {
  return {
    inputs: redactProperties(state.inputs, type),
    outputs: redactProperties(state.outputs, type),
    custom: state.custom === true,
    protect: state.protect === true,
    retainOnDelete: state.retainOnDelete === true,
    initErrors: state.initErrors ?? [],
  };
}

function toMessages({ urn, message, severity, ephemeral }: RawDiagnostic): Message[] {
  if ((severity !== "error" && severity !== "warning") || ephemeral === true) return [];
  const text = cleanText(message ?? "").replace(/^(warning|error): /, "");
  if (text === "") return [];
  const resource = urn == null || urn === "" ? undefined : nameOf(urn);
  return [{ severity, text, ...(resource === undefined || resource === "" ? {} : { resource }) }];
}

function policyMessage(policy: RawPolicy): Message {
  const mandatory = policy.enforcementLevel === "mandatory";
  return {
    severity: mandatory ? "error" : "warning",
    text: `Policy ${policy.policyPackName}/${policy.policyName}: ${cleanText(policy.message)}`,
    ...(policy.resourceUrn == null ? {} : { resource: nameOf(policy.resourceUrn) }),
  };
}

// eslint-disable-next-line no-control-regex -- the escape character is what a terminal's colours begin with
const colours = /<\{%.*?%\}>|\u001b\[[0-9;]*m/g;

/** Without the engine's colours, and without a key that somebody's error message carried along. */
function cleanText(text: string): string {
  return redactMessage(text.replace(colours, "")).trim();
}

function withoutRepeats(messages: Message[]): Message[] {
  const seen = new Set<string>();
  return messages.filter(({ severity, text, resource }) => {
    const key = JSON.stringify([severity, text, resource]);
    return seen.has(key) ? false : seen.add(key);
  });
}
