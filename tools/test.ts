import { execFileSync, spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import { forEachInParallel, runCommand } from "./commands.ts";

// `npm test`: first the tests that can run in parallel, then the lab tests. A lab needs exclusive use of its addresses. If the machine allows it,
// each lab file gets its own loopback network, and one file per core runs at a time; otherwise they run one after another.
// `--shard=1/2` runs one part of all that. Any other arguments are passed to a single vitest run.
const root = join(import.meta.dirname, "..");
const vitest = [process.execPath, join(root, "node_modules", "vitest", "vitest.mjs")];
const sideBySide = ["unit", "provider", "tools"];
const given = process.argv.slice(2);
const [, part = 1, parts = 1] = (/^--shard=(\d+)\/(\d+)$/.exec(given.join(" ")) ?? []).map(Number);
const failed: string[] = [];

const inProjects = (...names: string[]): string[] => names.flatMap((name) => ["--project", name]);

/** The prefix that runs a command in its own network namespace, with only loopback; undefined if this user may not create one. */
function ownNetwork(): string[] | undefined {
  const shell = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh"];
  return [["--net"], ["--net", "--map-root-user"]]
    .map((options) => ["unshare", ...options, ...shell])
    .find(
      ([program = "", ...args]) => spawnSync(program, [...args, "true"], { stdio: "ignore" }).status === 0,
    );
}

/** Longest first, using file size as an estimate. */
function labFiles(): string[] {
  const [program = "", ...args] = [...vitest, "list", "--filesOnly", "--json", ...inProjects("lab")];
  const listed = JSON.parse(execFileSync(program, args, { cwd: root, encoding: "utf8" })) as {
    file: string;
  }[];
  return listed
    .map(({ file }) => relative(root, file))
    .sort((a, b) => statSync(join(root, b)).size - statSync(join(root, a)).size)
    .filter((_, index) => index % parts === part - 1);
}

async function run(what: string, command: readonly string[], shown: boolean): Promise<void> {
  const { code, output } = await runCommand(command, shown);
  if (code !== 0) failed.push(what);
  process.stdout.write(output);
}

async function runAll(): Promise<void> {
  await run(sideBySide.join(", "), [...vitest, "run", ...inProjects(...sideBySide), ...given], true);
  const network = ownNetwork();
  await forEachInParallel(labFiles(), network === undefined ? 1 : availableParallelism(), (file) =>
    run(file, [...(network ?? []), ...vitest, "run", ...inProjects("lab"), file], network === undefined),
  );
}

if (given.length === 0 || parts > 1) await runAll();
else await run("vitest", [...vitest, "run", ...inProjects(...sideBySide, "lab"), ...given], true);
if (failed.length > 0) {
  process.stdout.write(`\nFailed: ${failed.join(", ")}. To run one file alone: npx vitest run FILE\n`);
  process.exitCode = 1;
}
