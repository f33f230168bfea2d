import type { Digest, Step } from "../digest/digest.ts";
import { unknownMark } from "../digest/values.ts";
import { textDiff, type TextDiff } from "./lineDiff.ts";

export const nodeConfigurationType = "talos-node:index:NodeConfiguration";

/** What 0.1.0 had in its place: in previews that were saved, and in the step that takes it out of a state. */
export const formerTypes: readonly string[] = [
  "talos-node:index:ConfigurationGuard",
  "talos-iscsi:index:MachineConfiguration",
  "talos:machine/configurationApply:ConfigurationApply",
];

/** What happens to a node's machine configuration. */
export type ConfigurationPlan =
  | { kind: "same" }
  /** The first of this stack. */
  | { kind: "first"; text: string; onNode: string[] | undefined }
  /** Not known before `up`: that of a new cluster, whose secrets are yet to be made. */
  | { kind: "unknown" }
  | { kind: "changed"; diff: TextDiff; onNode: string[] | undefined }
  /** Applied anew, with not one readable line changed: a secret in it. */
  | { kind: "unseen" }
  | { kind: "gone" };

/**
 * The configuration of the node at this address. `onNode` is what it changes there as the node runs, a line each, as the preview found it;
 * undefined where nobody asked.
 */
export function configurationPlan(address: string, { steps }: Digest): ConfigurationPlan {
  const step = [nodeConfigurationType, ...formerTypes]
    .map((type) => steps.find((candidate) => candidate.type === type && isOfNode(candidate, address)))
    .find((found) => found !== undefined);
  if (step === undefined) return { kind: "same" };
  if (step.operation === "delete") return { kind: "gone" };
  const [before, after] = (["old", "new"] as const).map((when) => step[when]?.inputs["configuration"]);
  if (after === unknownMark) return { kind: "unknown" };
  const onNode = changesOnNode(step);
  if (typeof after === "string" && before !== after) {
    return typeof before === "string"
      ? { kind: "changed", diff: textDiff(before, after), onNode }
      : { kind: "first", text: after, onNode };
  }
  const isApplied = step.differs.some((path) => path.startsWith("machineConfiguration"));
  return isApplied || (onNode ?? []).length > 0 ? { kind: "unseen" } : { kind: "same" };
}

function isOfNode(step: Step, address: string): boolean {
  return address !== "" && (step.new ?? step.old)?.inputs["node"] === address;
}

/** The lines that this preview adds: those of earlier applies stand before them. */
function changesOnNode(step: Step): string[] | undefined {
  if (step.operation === "same") return undefined;
  const lines = linesOf(step.new?.inputs["changes"]);
  const earlier = step.operation === "update" ? linesOf(step.old?.inputs["changes"]) : undefined;
  return earlier !== undefined && earlier.every((line, index) => line === lines?.[index])
    ? lines?.slice(earlier.length)
    : lines;
}

function linesOf(value: unknown): string[] | undefined {
  return Array.isArray(value) ? value.filter((line) => typeof line === "string") : undefined;
}
