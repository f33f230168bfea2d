import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { upWithKill } from "../../lab/bench/killing.ts";
import { RolloutWatch } from "../../lab/bench/rolloutWatch.ts";
import { relabelledKubernetes } from "../lab/relabelledKubernetes.ts";
import { RolloutLab } from "../lab/rollout.ts";

/** Upgrades a cluster that is four minor releases behind, with the real engine. One `up` would be enough; it is killed in every hop. */

const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const hops = ["v1.10.9", "v1.11.6", "v1.12.11", "v1.13.9"];
const names = ["cp1", "cp2", "cp3", "w1", "w2"];
const tools = process.env["TALOS_ISCSI_TOOLS"];
let lab: RolloutLab;
let kubernetes: Awaited<ReturnType<typeof relabelledKubernetes>>;

beforeAll(async () => {
  // Talos 1.9 supports Kubernetes up to 1.32, Talos 1.13 from 1.31 on. The lab's API server is newer.
  kubernetes = await relabelledKubernetes(tools ?? join(project, ".tools"), ["v1.35.4", "v1.32.4"]);
  process.env["TALOS_ISCSI_TOOLS"] = kubernetes.folder;
  lab = await RolloutLab.start(1, ["drain: { timeout: 3s }", "through: automatic"], {
    talosVersion: "v1.9.6",
    change: (text) =>
      text
        .replace("talosContract: v1.12", "talosContract: v1.9")
        .replace("kubernetesVersion: v1.35.4", "kubernetesVersion: v1.32.4"),
  });
});
afterAll(async () => {
  await lab?.project.remove();
  kubernetes?.remove();
  if (tools === undefined) delete process.env["TALOS_ISCSI_TOOLS"];
  else process.env["TALOS_ISCSI_TOOLS"] = tools;
});

/** Nodes that finished this hop, according to the machines' own upgrade counts. */
async function over(hop: number): Promise<string[]> {
  const upgrades = await lab.upgrades();
  return names.filter((name) => (upgrades[name] ?? 0) > hop);
}

test("v1.9.6 to v1.13.9 with kill -9 of the engine or the provider in every hop: no hop runs twice, nothing is left behind", async () => {
  const watch = new RolloutWatch(lab.project.file("lab.sock"));
  const killed: number[] = [];
  for (const [hop] of hops.entries()) {
    // Some nodes have finished the hop and others have not: the middle of a hop.
    const isThere = async (): Promise<boolean> => (await over(hop)).length > hop % (names.length - 1);
    const victim = hop % 2 === 0 ? "provider" : "engine";
    const up = await upWithKill(lab.project.dir, { victim, when: isThere });
    expect(up.killed, up.text.slice(-3_000)).toBe(true);
    killed.push((await over(hop)).length);
  }
  expect(killed.every((count) => count > 0)).toBe(true);
  const last = await lab.finish();
  expect(await lab.upgrades()).toEqual(Object.fromEntries(names.map((name) => [name, hops.length])));
  expect(last.stdout).toMatch(/│ w2 .*│ v1\.13\.9 │/);
  const { controlPlanes, workers, samples } = watch.stop();
  expect(samples).toBeGreaterThan(100);
  expect({ controlPlanes, workers }).toEqual({ controlPlanes: 1, workers: 1 });
  expect(await lab.cordoned()).toEqual([]);
  // Nothing is left to do.
  const again = await lab.project.pulumi("preview", "--stack", "dev", "--expect-no-changes");
  expect(again.code, again.text.slice(-3_000)).toBe(0);
});
