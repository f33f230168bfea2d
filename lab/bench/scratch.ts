import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { labReport } from "../control.ts";
import { labFiles, projectDir, type LabMode } from "../layout.ts";
import { runTool } from "../process.ts";

/** A clone of this project in its own folder, for a lab that needs the addresses to itself. The caller removes the folder. */
export async function scratchClone(): Promise<{ scratch: string; clone: string }> {
  if ((await labReport(labFiles.socket)) !== undefined)
    throw new Error("a lab is running and uses the addresses; stop it first: npm run lab -- stop");
  const scratch = mkdtempSync(join(tmpdir(), "talos-iscsi-bench-"));
  const clone = join(scratch, "clone");
  await runTool("git", ["clone", "--quiet", projectDir, clone]);
  return { scratch, clone };
}

/**
 * A lab in a clone of this project, for figures that require many rollouts: the user's stack and lab stay untouched. Its stack holds the
 * rollout and nothing after it.
 */
export async function inScratchLab(
  options: { nodeSeconds: number; say: (line: string) => void },
  work: (dir: string) => Promise<void>,
): Promise<void> {
  const prepare = (dir: string): void => {
    const stack = join(dir, "Pulumi.dev.yaml");
    const withoutDriver = readFileSync(stack, "utf8").replace(
      / {2}talos-iscsi:joviandss:\n(?: {4}.*\n)*/,
      "",
    );
    writeFileSync(stack, withoutDriver);
  };
  return inPreparedLab({ ...options, prepare }, work);
}

/** The same, but `prepare` modifies the clone before its lab starts; `mode` as for `lab -- start`. */
export async function inPreparedLab(
  {
    nodeSeconds,
    say,
    prepare,
    mode = "running",
  }: {
    nodeSeconds: number;
    say: (line: string) => void;
    prepare: (dir: string) => void;
    mode?: LabMode;
  },
  work: (dir: string) => Promise<void>,
): Promise<void> {
  const { scratch, clone: dir } = await scratchClone();
  const env = {
    ...process.env,
    TALOS_ISCSI_TOOLS: process.env["TALOS_ISCSI_TOOLS"] ?? join(projectDir, ".tools"),
  };
  process.env["TALOS_ISCSI_TOOLS"] = env.TALOS_ISCSI_TOOLS;
  const lab = (...args: string[]) => runTool("npm", ["--prefix", dir, "run", "lab", "--", ...args], { env });
  try {
    symlinkSync(join(projectDir, "node_modules"), join(dir, "node_modules"));
    prepare(dir);
    say(`starting a lab in ${dir}, ${nodeSeconds} s per node`);
    await lab("start", ...(mode === "new" ? ["--new"] : []), "--node-seconds", String(nodeSeconds));
    await work(dir);
  } finally {
    process.chdir(projectDir);
    await lab("stop").catch(() => undefined);
    rmSync(scratch, { recursive: true, force: true });
  }
}
