import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { projectDir } from "../layout.ts";

export type Victim = "engine" | "provider";

/** How an `up` ended. */
export interface UpResult {
  code: number | null;
  text: string;
  /** Whether the victim was running, and was killed. */
  killed: boolean;
}

/** What to kill, and when: this many milliseconds after the engine starts changing things, or as soon as a condition holds. */
export type Kill = { victim: Victim } & ({ afterMs: number } | { when: () => Promise<boolean> });

/** Runs `lab -- up` in a project's folder and sends SIGKILL to its engine or provider. Without a victim, it runs until it exits. */
export async function upWithKill(dir: string, kill?: Kill): Promise<UpResult> {
  const child = spawn(process.execPath, [join("lab", "cli.ts"), "up", "--skip-preview"], {
    cwd: dir,
    env: {
      ...process.env,
      NO_COLOR: "1",
      // The tools are built once, and shared with the copies of this project.
      TALOS_ISCSI_TOOLS: process.env["TALOS_ISCSI_TOOLS"] ?? join(projectDir, ".tools"),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  let begun: () => void = () => undefined;
  const updating = new Promise<void>((resolve) => (begun = resolve));
  const hear = (chunk: Buffer): void => {
    text += chunk.toString("utf8");
    if (text.includes("Updating (")) begun();
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  let killed = false;
  if (kill !== undefined) {
    const struck = updating.then(async () => {
      if ("afterMs" in kill) await sleep(kill.afterMs);
      else while (child.exitCode === null && !(await kill.when())) await sleep(50);
      // The engine starts its plugins a moment later.
      while (child.exitCode === null && !(killed = killVictim(dir, kill.victim))) await sleep(20);
    });
    await Promise.race([struck, ended]);
  }
  return { code: await ended, text, killed };
}

/** @returns false if there is none */
function killVictim(dir: string, victim: Victim): boolean {
  const provider = readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .find((pid) => read(pid, "cmdline").includes(join(dir, "provider", "pulumi-resource-talos-node")));
  if (provider === undefined) return false;
  // The engine is the parent of its plugins.
  const parent = Number(/^PPid:\s*(\d+)$/m.exec(read(provider, "status"))?.[1]);
  const target = victim === "provider" ? provider : parent;
  if (victim === "engine" && !read(target, "cmdline").includes("pulumi")) return false;
  try {
    process.kill(target, "SIGKILL");
    return true;
  } catch {
    return false;
  }
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(join("/proc", String(pid), file), "utf8");
  } catch {
    return ""; // exited in the meantime
  }
}
