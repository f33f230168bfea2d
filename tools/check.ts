import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { forEachInParallel, runCommand } from "./commands.ts";

// `npm run check`: runs every check:… script of package.json, one per core at a time, longest first. If a script fails, its output is shown in one
// piece when it ends.
const root = join(import.meta.dirname, "..");
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  scripts: Record<string, string>;
};
const longestFirst = ["check:lint", "check:format", "check:types"];
const waiting = Object.keys(scripts)
  .filter((name) => name.startsWith("check:"))
  .sort((a, b) => rank(a) - rank(b));
const failed: string[] = [];

function rank(name: string): number {
  const index = longestFirst.indexOf(name);
  return index < 0 ? longestFirst.length : index;
}

async function run(name: string): Promise<void> {
  const started = performance.now();
  // Run directly, because npm adds a second to each. The scripts are plain words without shell syntax, so splitting at spaces is enough.
  const { code, output } = await runCommand((scripts[name] ?? "").split(" "));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (code !== 0) failed.push(name);
  process.stdout.write(
    `${code === 0 ? "ok" : "FAILED"}  ${name} (${seconds} s)\n${code === 0 ? "" : output}`,
  );
}

await forEachInParallel(waiting, availableParallelism(), run);
if (failed.length > 0) {
  process.stdout.write(`\n${failed.join(", ")} failed. To run one alone: npm run <name>\n`);
  process.exitCode = 1;
}
