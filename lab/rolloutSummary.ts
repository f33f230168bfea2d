import { CommandError } from "@pulumi/pulumi/automation/index.js";
import { rolloutReport } from "../report/model/rollout.ts";
import { rolloutTable } from "../report/render/rolloutTable.ts";
import { hasState, openStack } from "./stack.ts";

/** A table of the rollout that started after this moment; empty if there was none. */
export async function rolloutSince(stackName: string, moment: number): Promise<string> {
  if (!hasState(stackName)) return "";
  try {
    const state = await (await openStack(stackName)).exportStack();
    const { rollouts, verdict } = rolloutReport(state, Date.now());
    const since = rollouts.filter(({ ended }) => ended >= moment).map(rolloutTable);
    if (since.length === 0) return "";
    return `\n${verdict}\n\nRollout ${since.join("\n\n")}\nAs a page: npm run rollout:report -- --stack ${stackName}, with the variables that \`npm run lab -- start\` prints.\n`;
  } catch (error) {
    if (error instanceof CommandError) return ""; // the operation itself has already reported what is wrong with the engine
    throw error;
  }
}
