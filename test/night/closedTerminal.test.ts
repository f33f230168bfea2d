import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RolloutLab } from "../lab/rollout.ts";

/**
 * Plain `pulumi up` loses its terminal, or its reader (`pulumi up | head -1`), in the middle of a rollout. The real engine dies from the signal and
 * does not stop its plugins.
 */

let lab: RolloutLab;
const names = ["cp1", "cp2", "cp3", "w1", "w2"];

beforeAll(async () => {
  lab = await RolloutLab.start(5);
  lab.want("v1.13.7");
  await lab.finish();
});
afterAll(async () => lab?.project.remove());

/** `pulumi up` in its own session, as in a terminal. */
function pulumiUp(): ChildProcess {
  const args = ["up", "--yes", "--skip-preview", "--non-interactive", "--stack", "dev"];
  return spawn(join(lab.project.dir, ".lab", "bin", "pulumi"), args, {
    cwd: lab.project.dir,
    detached: true,
    env: { ...process.env, ...lab.project.pulumiEnvironment() },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Processes of the project's plugin, except the lab's own. */
function plugins(): string[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      } catch {
        return ""; // ended in the meantime
      }
    })
    .filter((line) => line.includes(join(lab.project.dir, "provider", "pulumi-resource-talos-node")));
}

/** Everything that a rollout does to machines. */
const done = async (): Promise<unknown> =>
  (await lab.nodes()).map(({ name, upgrades, boots, applies }) => ({ name, upgrades, boots, applies }));

async function until(what: string, isSo: () => boolean | Promise<boolean>, seconds = 120): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await sleep(50);
  }
}

test.each<[string, string, (up: ChildProcess) => void]>([
  [
    "its reader, as with `pulumi up | head -1`",
    "v1.13.9",
    ({ stdout, stderr }) => {
      stdout?.destroy();
      stderr?.destroy();
    },
  ],
  [
    "its terminal",
    "v1.13.7",
    ({ pid, stdout, stderr }) => {
      stdout?.destroy();
      stderr?.destroy();
      if (pid !== undefined) process.kill(-pid, "SIGHUP");
    },
  ],
])(
  "a rollout that loses %s stops at the node in progress, and the next up continues",
  async (_, version, lose) => {
    const before = await lab.upgrades();
    lab.want(version);
    const up = pulumiUp();
    up.stdout?.resume();
    up.stderr?.resume();
    const ended = once(up, "exit");
    const moved = async () =>
      Object.entries(await lab.upgrades()).filter(([name, count]) => count > (before[name] ?? 0));
    await until("the first node is upgraded", async () => (await moved()).length > 0);
    lose(up);
    const [code, signal] = (await ended) as [number | null, string | null];
    expect([code, signal]).not.toEqual([0, null]);
    // A running installer may finish; nothing else starts.
    await until("the plugins have ended", () => plugins().length === 0, 60);
    expect((await moved()).length).toBeLessThan(names.length);
    await sleep(2_000);
    const left = await done();
    await sleep(8_000);
    expect(await done()).toEqual(left);

    await lab.project.pulumi("cancel", "--yes", "--stack", "dev");
    const again = await lab.project.pulumi("up", "--yes", "--skip-preview", "--stack", "dev");
    expect([again.code, again.text.slice(again.code === 0 ? again.text.length : -4_000)]).toEqual([0, ""]);
    const after = await lab.upgrades();
    expect(names.map((name) => [name, (after[name] ?? 0) - (before[name] ?? 0)])).toEqual(
      names.map((name) => [name, 1]),
    );
    expect(await lab.cordoned()).toEqual([]);
  },
);
