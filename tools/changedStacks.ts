import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { changedStacks, stacksIn } from "./stacks.ts";

// For the workflows: the stacks that a change concerns, as a JSON list. `node tools/changedStacks.ts <from> <to>` (two commits), or
// without commits: all stacks.
const root = join(import.meta.dirname, "..");
const stacks = stacksIn(readdirSync(root));
const [from, to] = process.argv.slice(2);
const affected =
  from === undefined || to === undefined ? stacks : changedStacks(stacks, filesBetween(from, to));
console.log(JSON.stringify(affected));

/** Undefined where the commits cannot be compared, as with the first push of a branch. */
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
