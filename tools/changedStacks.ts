import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { changedStacks, groupByStage, stacksIn, StagesError } from "./stacks.ts";

/**
 * For the workflows: prints the stacks that a change affects as step outputs. Has no dependencies, because it runs before anything is installed.
 *
 *     node tools/changedStacks.ts <from> <to>      stacks that differ between two commits
 *     node tools/changedStacks.ts                  all stacks
 *     node tools/changedStacks.ts --stack prod     one stack, which must exist
 *
 * Prints `stacks=` with a JSON list of all of them, and `stage1=` to `stage4=` with the ones in each stage of stages.json.
 */

const root = join(import.meta.dirname, "..");

function main(): string {
  const { values, positionals } = parseArgs({
    options: { stack: { type: "string" } },
    allowPositionals: true,
  });
  const stacks = stacksIn(readdirSync(root));
  const stages = groupByStage(JSON.parse(readFileSync(join(root, "stages.json"), "utf8")), stacks);
  const affected = new Set(selectStacks(stacks, values.stack, positionals));
  const kept = stages.map((stage) => stage.filter((stack) => affected.has(stack)));
  return [
    `stacks=${JSON.stringify(kept.flat())}`,
    ...kept.map((stage, index) => `stage${index + 1}=${JSON.stringify(stage)}`),
  ].join("\n");
}

function selectStacks(stacks: string[], stack: string | undefined, [from, to]: string[]): string[] {
  if (stack !== undefined) {
    // GitHub would create an environment for a misspelled stack, without required reviewers.
    if (!stacks.includes(stack)) throw new StagesError(`there is no file Pulumi.${stack}.yaml`);
    return [stack];
  }
  return from === undefined || to === undefined ? stacks : changedStacks(stacks, filesBetween(from, to));
}

/** Undefined if the commits cannot be compared, as on the first push of a branch. */
function filesBetween(from: string, to: string): string[] | undefined {
  try {
    const names = execFileSync("git", ["diff", "--name-only", "-z", from, to, "--"], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return names.split("\0").filter((name) => name !== "");
  } catch {
    return undefined;
  }
}

try {
  console.log(main());
} catch (error) {
  if (!(error instanceof StagesError || error instanceof SyntaxError)) throw error;
  console.error(`error: ${error instanceof SyntaxError ? `stages.json: ${error.message}` : error.message}`);
  process.exitCode = 1;
}
