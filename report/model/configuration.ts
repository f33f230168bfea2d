import type { Digest } from "../digest/digest.ts";
import { unknownMark } from "../digest/values.ts";
import { textDiff, type TextDiff } from "./lineDiff.ts";

export const machineConfigurationType = "talos-iscsi:index:MachineConfiguration";
export const configurationApplyType = "talos:machine/configurationApply:ConfigurationApply";
export const guardType = "talos-node:index:ConfigurationGuard";

/** What happens to a node's machine configuration. */
export type ConfigurationPlan =
  | { kind: "same" }
  /** The first of this stack. */
  | { kind: "first"; text: string; mode: ApplyMode; onNode: string[] | undefined }
  /** Not known before `up`: that of a new cluster, whose secrets are yet to be made. */
  | { kind: "unknown"; mode: ApplyMode }
  | { kind: "changed"; diff: TextDiff; mode: ApplyMode; onNode: string[] | undefined }
  /** Applied anew, with not one readable line changed: a secret, or the way of applying. */
  | { kind: "unseen"; mode: ApplyMode }
  | { kind: "gone" };

/** `auto` reboots the node where Talos needs it, `staged` leaves that to its next boot. */
export type ApplyMode = "auto" | "staged";

/**
 * The configuration of the node at this address. `onNode` is what it changes there as the node runs, a line each, as the guard found it;
 * undefined where nobody asked.
 */
export function configurationPlan(address: string, { steps }: Digest): ConfigurationPlan {
  const of = (type: string) =>
    steps.find(
      (step) => step.type === type && address !== "" && (step.new ?? step.old)?.inputs["node"] === address,
    );
  const [guard, component, applied] = [
    of(guardType),
    of(machineConfigurationType),
    of(configurationApplyType),
  ];
  const mode: ApplyMode =
    applied?.new?.inputs["applyMode"] === "staged_if_needing_reboot" ? "staged" : "auto";
  if ((guard ?? component)?.operation === "delete") return { kind: "gone" };
  // The component had the text before there was a guard: so do states of that time, and previews that were saved.
  const [before, after] = (["old", "new"] as const).map(
    (when) => guard?.[when]?.inputs["configuration"] ?? component?.[when]?.inputs["configuration"],
  );
  if (after === unknownMark) return { kind: "unknown", mode };
  if (typeof after === "string" && before !== after) {
    const onNode = changesOnNode(guard);
    return typeof before === "string"
      ? { kind: "changed", diff: textDiff(before, after), mode, onNode }
      : { kind: "first", text: after, mode, onNode };
  }
  const isApplied = applied !== undefined && ["create", "update", "replace"].includes(applied.operation);
  return isApplied ? { kind: "unseen", mode } : { kind: "same" };
}

function changesOnNode(guard: Digest["steps"][number] | undefined): string[] | undefined {
  // A guard without a change has what it found the last time.
  if (guard === undefined || guard.operation === "same") return undefined;
  const lines = guard.new?.inputs["changes"];
  return Array.isArray(lines) ? lines.filter((line) => typeof line === "string") : undefined;
}
