import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { mutants, type Mutant } from "./mutants.ts";

// Mutation testing: if any single check is removed from the program, the test named for it fails. Run with `npm run test:mutations`, or for one file's
// mutants with `-t provider/gate/gate.ts`.

const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "mutants-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Report {
  testResults: { message: string; assertionResults: { status: string; fullName: string }[] }[];
}

/** @returns the failed tests; throws if no test ran or the mutant does not compile */
async function failingTests(mutant: Mutant): Promise<string[]> {
  const [file, name] = mutant.test;
  const report = join(folder, "report.json");
  rmSync(report, { force: true });
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
  const args = [
    "run",
    "--config",
    "test/night/mutant.config.ts",
    "--reporter=json",
    `--outputFile=${report}`,
  ];
  const pattern = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const child = spawn(process.execPath, [vitest, ...args, file, "-t", pattern], {
    cwd: root,
    env: { ...process.env, MUTANT: JSON.stringify(mutant) },
    stdio: "ignore",
  });
  await new Promise((resolve) => child.once("close", resolve));
  const { testResults } = JSON.parse(readFileSync(report, "utf8")) as Report;
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  const ran = tests.filter(({ status }) => status === "passed" || status === "failed");
  if (ran.length === 0)
    throw new Error(`nothing ran: ${testResults.map(({ message }) => message).join("\n")}`);
  return ran.filter(({ status }) => status === "failed").map(({ fullName }) => fullName);
}

it.each(mutants.map((mutant) => [mutant.file, mutant.look, mutant] as const))(
  "%s without: %s",
  async (_file, _look, mutant) => {
    expect(await failingTests(mutant)).not.toEqual([]);
  },
  300_000,
);
