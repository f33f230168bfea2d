import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { labReport } from "../control.ts";
import { upWithKill, type Victim } from "./killing.ts";
import { RolloutWatch, type MostDown } from "./rolloutWatch.ts";
import { inScratchLab } from "./scratch.ts";

/** How rollouts ended that were killed again and again. */
export interface CrashFigures {
  kills: Record<Victim, number>;
  rollouts: number;
  /** Nodes that were upgraded more than once in a rollout, and nodes that weren't upgraded at all. */
  doubleUpgrades: string[];
  missedUpgrades: string[];
  cordoned: string[];
  mostDown: MostDown;
}

// Kill times advance by the golden ratio: evenly spread no matter how many there are.
const spread = 0.618033988749895;

/**
 * Runs rollouts in a lab in `dir` and kills the engine or the provider this many times in total. After each kill, the next `up` resumes the rollout and is
 * killed in turn; once one finishes, the next rollout starts.
 * @param windowMs latest time after its start at which an `up` may be killed
 */
export async function crashRollouts(options: {
  dir: string;
  kills: number;
  windowMs: number;
  versions: readonly [string, string];
  say: (line: string) => void;
}): Promise<CrashFigures> {
  const { dir, kills, windowMs, versions, say } = options;
  const socket = join(dir, ".lab", "lab.sock");
  const figures: CrashFigures = {
    kills: { engine: 0, provider: 0 },
    rollouts: 0,
    doubleUpgrades: [],
    missedUpgrades: [],
    cordoned: [],
    mostDown: { controlPlanes: 0, workers: 0, samples: 0 },
  };
  const watch = new RolloutWatch(socket);
  try {
    let done = 0;
    let tries = 0;
    for (let rollout = 0; done < kills; rollout += 1) {
      setWantedVersion(dir, versions[rollout % 2] ?? versions[0]);
      const before = await countUpgrades(socket);
      for (let finished = false; !finished;) {
        const victim: Victim = done % 2 === 0 ? "engine" : "provider";
        const afterMs = ((tries++ * spread) % 1) * windowMs;
        const { code, text, killed } = await upWithKill(dir, done < kills ? { victim, afterMs } : undefined);
        if (killed) {
          done += 1;
          figures.kills[victim] += 1;
          say(`${done} of ${kills}: ${victim} killed ${Math.round(afterMs)} ms into rollout ${rollout + 1}`);
        }
        finished = code === 0;
        if (!finished && !killed) throw new Error(`an up that wasn't killed failed:\n${text.slice(-4_000)}`);
      }
      figures.rollouts += 1;
      for (const [name, count] of Object.entries(await countUpgrades(socket))) {
        const times = count - (before[name] ?? 0);
        const told = `${name} in rollout ${rollout + 1}: ${times}`;
        if (times > 1) figures.doubleUpgrades.push(told);
        if (times < 1) figures.missedUpgrades.push(told);
      }
      figures.cordoned.push(...cordonedNodes(dir).map((name) => `${name} after rollout ${rollout + 1}`));
    }
  } finally {
    figures.mostDown = watch.stop();
  }
  return figures;
}

/** `npm run bench -- crash`, in its own lab. */
export async function benchCrash(kills: number): Promise<void> {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  await inScratchLab({ nodeSeconds: 1.5, say }, async (dir) => {
    setWantedVersion(dir, "v1.13.7");
    const first = await upWithKill(dir);
    if (first.code !== 0) throw new Error(`the first up failed:\n${first.text.slice(-4_000)}`);
    const figures = await crashRollouts({
      dir,
      kills,
      windowMs: 6_000,
      versions: ["v1.13.9", "v1.13.7"],
      say,
    });
    const { controlPlanes, workers, samples } = figures.mostDown;
    const list = (names: string[]) => `${names.length}${names.length === 0 ? "" : ` (${names.join(", ")})`}`;
    process.stdout.write(
      [
        `kills: ${figures.kills.engine} of the engine, ${figures.kills.provider} of the provider, in ${figures.rollouts} rollouts of 5 nodes`,
        `double upgrades: ${list(figures.doubleUpgrades)}; aim: 0`,
        `nodes not upgraded: ${list(figures.missedUpgrades)}; aim: 0`,
        `nodes left cordoned: ${list(figures.cordoned)}; aim: 0`,
        `most down at once, in ${samples} samples: ${controlPlanes} control planes, ${workers} workers; aim: at most 1 and 1`,
        "",
      ].join("\n"),
    );
  });
}

/** Sets the Talos release of the stack dev. */
export function setWantedVersion(dir: string, version: string): void {
  const file = join(dir, "Pulumi.dev.yaml");
  writeFileSync(file, readFileSync(file, "utf8").replace(/talosVersion: \S+/, `talosVersion: ${version}`));
}

async function countUpgrades(socket: string): Promise<Record<string, number>> {
  const report = await labReport(socket);
  if (report === undefined) throw new Error("the lab is no longer running");
  return Object.fromEntries(report.nodes.map(({ name, upgrades: count }) => [name, count]));
}

function cordonedNodes(dir: string): string[] {
  const path = "{range .items[?(@.spec.unschedulable==true)]}{.metadata.name} {end}";
  const names = execFileSync(
    join(dir, ".lab", "bin", "kubectl"),
    ["--kubeconfig", join(dir, ".lab", "kubeconfig"), "get", "nodes", "--output", `jsonpath=${path}`],
    { encoding: "utf8" },
  );
  return names.split(" ").filter((name) => name !== "");
}
