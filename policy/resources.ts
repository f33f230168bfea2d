import { PolicyRunError } from "./runError.ts";
import { viewForPolicies } from "./policyView.ts";
import { isRecord } from "../talos/values.ts";

/** A resource of a stack as policies look at it. */
export interface StackResource {
  type: string;
  urn: string;
  name: string;
  /** URN of the component that it belongs to. */
  parent?: string;
  inputs: Record<string, unknown>;
  outputs: Record<string, unknown>;
}

/** The parts that are read of what `pulumi stack export` and `pulumi preview --json` write. */
interface RawState {
  urn?: unknown;
  type?: unknown;
  parent?: unknown;
  delete?: unknown;
  inputs?: unknown;
  outputs?: unknown;
}
interface PreviewStep {
  op?: unknown;
  urn?: unknown;
  oldState?: RawState;
  newState?: RawState;
}

/**
 * The resources in an exported state or a saved preview. In a preview they are what the stack would be after it: what is known of each, and for
 * the rest what was there before (the release that a node runs, above all).
 */
export function readResources(text: string, what: string): StackResource[] {
  const content = parseJson(text, what);
  const deployment = content["deployment"];
  if (isRecord(deployment)) {
    const states = Array.isArray(deployment["resources"]) ? (deployment["resources"] as RawState[]) : [];
    return states.filter((state) => state.delete !== true).map((state) => toResource(state, {}));
  }
  if (Array.isArray(content["steps"]))
    return resourcesOfPreview(content, content["steps"] as PreviewStep[], what);
  throw new PolicyRunError(
    `${what} is neither a state nor a preview. Create one with "pulumi stack export --file state.json" or "pulumi preview --json --show-sames > preview.json".`,
  );
}

function resourcesOfPreview(
  content: Record<string, unknown>,
  steps: PreviewStep[],
  what: string,
): StackResource[] {
  const summary = isRecord(content["changeSummary"]) ? content["changeSummary"] : {};
  const same = typeof summary["same"] === "number" ? summary["same"] : 0;
  // A whole is judged by its parts: three control planes of which one changes are not one control plane.
  if (same > steps.filter(({ op }) => op === "same").length) {
    throw new PolicyRunError(
      `${what} leaves out the ${same} resources that do not change. Save it with "pulumi preview --json --show-sames".`,
    );
  }
  const after = new Map<string, StackResource>();
  for (const { op, urn, oldState, newState } of steps) {
    if (typeof urn !== "string" || newState === undefined || /^(?:delete|discard|remove)/.test(String(op)))
      continue;
    after.set(urn, toResource({ urn, ...newState }, oldState ?? {}));
  }
  return [...after.values()];
}

function toResource(state: RawState, before: RawState): StackResource {
  const urn = String(state.urn);
  const inputs = asMapping(state.inputs);
  // A preview has no outputs of its own for what it would change; wanted values stand over those from before.
  const outputs = isRecord(state.outputs) ? state.outputs : { ...asMapping(before.outputs), ...inputs };
  return {
    urn,
    type: typeof state.type === "string" ? state.type : (urn.split("::")[2]?.split("$").at(-1) ?? ""),
    name: urn.split("::").slice(3).join("::"),
    ...(typeof state.parent === "string" && state.parent !== "" ? { parent: state.parent } : {}),
    inputs: asMapping(viewForPolicies(inputs)),
    outputs: asMapping(viewForPolicies(outputs)),
  };
}

function asMapping(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

function parseJson(text: string, what: string): Record<string, unknown> {
  try {
    const content: unknown = JSON.parse(text);
    if (isRecord(content)) return content;
  } catch {
    // said below; the parser's own words would quote the file
  }
  throw new PolicyRunError(
    `${what} is not JSON. Pass the output of "pulumi stack export" or "pulumi preview --json".`,
  );
}
