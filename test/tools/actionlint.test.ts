import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { resolveTools } from "../../tools/resolve.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "../..");

it("actionlint finds nothing in the workflows", async () => {
  const { actionlint } = await resolveTools(["actionlint"]);
  // The exit code is 1 if there are findings, which go to stdout.
  const findings = await run(actionlint, ["-no-color", "-shellcheck=", "-pyflakes="], {
    cwd: root,
  }).then(
    ({ stdout }) => stdout,
    (error: unknown) => (error as { stdout: string }).stdout || String(error),
  );
  expect(findings).toBe("");
});
