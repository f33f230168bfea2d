import { coded } from "../talos/errorCodes.ts";
import {
  isEmptyPlan,
  planDifferences,
  planDigest,
  planLines,
  type ApprovedPlan,
  type RolloutPlan,
} from "../talos/rolloutPlan.ts";
import { nothingApproved } from "./approval.ts";

/** Maximum number of plan lines in one message. */
const maxPlanLines = 60;

/** Why this deployment doesn't match the approved plan; undefined if it matches or nothing is left to do. */
export function approvedPlanMismatch(
  { digest, plan: approved }: ApprovedPlan,
  now: RolloutPlan,
): string | undefined {
  if (digest === nothingApproved || digest === planDigest(now) || isEmptyPlan(now)) return undefined;
  const differences =
    approved === undefined
      ? [
          `This deployment would make these changes (plan ${planDigest(now)}):`,
          ...indented(planLines(now)),
          `To see the differences, add the approved plan's file: ${digest}@reports/plan-<stack>.json.`,
        ]
      : ["Differences:", ...indented(planDifferences(approved, now))];
  return [
    `${coded("plan-changed", `the cluster or the settings have changed since the plan ${digest} was approved`)}. No node was changed.`,
    ...differences,
    "Create a new preview and have it approved.",
  ].join("\n");
}

function indented(lines: readonly string[]): string[] {
  const shown =
    lines.length > maxPlanLines
      ? [...lines.slice(0, maxPlanLines), `… and ${lines.length - maxPlanLines} more`]
      : lines;
  return shown.map((line) => `  ${line}`);
}
