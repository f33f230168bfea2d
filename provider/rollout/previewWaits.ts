import { coded } from "../../talos/errorCodes.ts";
import { joinProblems } from "../guards/finding.ts";
import type { UpgradeContext } from "../context.ts";
import { budgetFinding } from "./budget.ts";
import { previewGates } from "./gates.ts";
import { whyWindowClosed } from "./window.ts";

/** For a preview: what keeps the rollout from taking this node down right now. The same text for all affected nodes. */
export async function previewWaits(context: UpgradeContext): Promise<string[]> {
  const { outsideWindow } = context.wanted.rollout;
  const closed = await whyWindowClosed(context);
  const room = await budgetFinding(context);
  const gates = await previewGates(context);
  return [
    ...(closed === undefined
      ? []
      : [
          outsideWindow === "stop"
            ? `${closed}: a deployment before that leaves the nodes as they are`
            : coded(
                "upgrade-window",
                `${closed}: a deployment before that fails (upgrade.outsideWindow: fail)`,
              ),
        ]),
    ...gates,
    ...(room === undefined
      ? []
      : [`the rollout would stop right now: ${joinProblems([room])}. ${room.hint}`]),
  ];
}
