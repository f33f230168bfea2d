import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

// `npm run check`: every script of package.json that is called check:…, as many at a time as there are cores, the longest first. What one prints is
// shown as a whole when it ends.
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

function run(name: string): Promise<void> {
  const started = performance.now();
  return new Promise((resolve) => {
    // The scripts are of this project and made of words alone; npm itself would take a second for each.
    const [program = "", ...args] = (scripts[name] ?? "").split(" ");
    const child = spawn(program, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString("utf8")));
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString("utf8")));
    child.once("error", (error) => (output += `${error.message}\n`));
    child.once("close", (code) => {
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      if (code !== 0) failed.push(name);
      process.stdout.write(
        `${code === 0 ? "ok" : "FAILED"}  ${name} (${seconds} s)\n${code === 0 ? "" : output}`,
      );
      resolve();
    });
  });
}

async function worker(): Promise<void> {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await run(next);
}

await Promise.all(Array.from({ length: availableParallelism() }, worker));
if (failed.length > 0) {
  process.stdout.write(`\n${failed.join(", ")} failed; each runs by itself with: npm run <name>\n`);
  process.exitCode = 1;
}
