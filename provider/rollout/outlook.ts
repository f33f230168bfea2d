import { coded } from "../../talos/errorCodes.ts";
import { problemsOf } from "../guards/finding.ts";
import type { UpgradeContext } from "../context.ts";
import { overBudget } from "./budget.ts";
import { gateOutlook } from "./gates.ts";
import { closedWindow } from "./window.ts";

/** For a preview: what keeps the rollout from taking this node down right now. The same text for all nodes that it concerns. */
export async function outlook(context: UpgradeContext): Promise<string[]> {
  const { outsideWindow } = context.wanted.rollout;
  const closed = await closedWindow(context);
  const room = await overBudget(context);
  const gates = await gateOutlook(context);
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
    ...(room === undefined ? [] : [`the rollout would stop right now: ${problemsOf([room])}. ${room.hint}`]),
  ];
}
