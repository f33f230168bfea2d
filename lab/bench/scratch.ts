import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { labReport } from "../control.ts";
import { labFiles, projectDir } from "../layout.ts";
import { run } from "../process.ts";

/**
 * A lab in a clone of this project, for figures that need many rollouts: the user's stack and lab are not touched. Its stack holds the
 * rollout and nothing after it.
 */
export async function inScratchLab(
  { nodeSeconds, say }: { nodeSeconds: number; say: (line: string) => void },
  work: (dir: string) => Promise<void>,
): Promise<void> {
  if ((await labReport(labFiles.socket)) !== undefined)
    throw new Error("a lab is running and has the addresses; stop it first: npm run lab -- stop");
  const scratch = mkdtempSync(join(tmpdir(), "talos-iscsi-bench-"));
  const dir = join(scratch, "clone");
  const env = {
    ...process.env,
    TALOS_ISCSI_TOOLS: process.env["TALOS_ISCSI_TOOLS"] ?? join(projectDir, ".tools"),
  };
  process.env["TALOS_ISCSI_TOOLS"] = env.TALOS_ISCSI_TOOLS;
  const lab = (...args: string[]) => run("npm", ["--prefix", dir, "run", "lab", "--", ...args], { env });
  try {
    await run("git", ["clone", "--quiet", projectDir, dir]);
    symlinkSync(join(projectDir, "node_modules"), join(dir, "node_modules"));
    const stack = join(dir, "Pulumi.dev.yaml");
    const withoutDriver = readFileSync(stack, "utf8").replace(
      / {2}talos-iscsi:joviandss:\n(?: {4}.*\n)*/,
      "",
    );
    writeFileSync(stack, withoutDriver);
    say(`starting a lab in ${dir}, ${nodeSeconds} s a node`);
    await lab("start", "--node-seconds", String(nodeSeconds));
    await work(dir);
  } finally {
    process.chdir(projectDir);
    await lab("stop").catch(() => undefined);
    rmSync(scratch, { recursive: true, force: true });
  }
}
