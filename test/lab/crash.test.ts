import { afterAll, beforeAll, expect, test } from "vitest";
import { crashRollouts } from "../../lab/bench/crash.ts";
import { RolloutLab } from "./rollout.ts";

/** Rollouts whose engine or provider is killed with SIGKILL again and again. `npm run bench -- crash` does it any number of times. */

const kills = 40;
let lab: RolloutLab;

beforeAll(async () => {
  lab = await RolloutLab.start(1.5);
  lab.want("v1.13.7");
  await lab.finish();
});
afterAll(async () => lab?.project.remove());

test("Ctrl-C stops between steps and reports what is unfinished, and the next up continues from there", async () => {
  const before = await lab.upgrades();
  lab.want("v1.13.9");
  const { code, text } = await lab.interrupted(/upgrade-cp2 .*\[5\/11\] install/);
  expect(code).not.toBe(0);
  expect(text).toMatch(/cp2 \(127\.10\.0\.12\), step "\w+": cancelled; .*uncordon.*\[cancelled\]/);
  expect(text).not.toMatch(/^\s+at .*\.ts:\d+/m);
  const stopped = await lab.upgrades();
  for (const later of ["cp3", "w1", "w2"]) expect([later, stopped[later]]).toEqual([later, before[later]]);

  await lab.finish();
  expect(await lab.upgrades()).toEqual(
    Object.fromEntries(Object.entries(before).map(([name, count]) => [name, count + 1])),
  );
  expect(await lab.cordoned()).toEqual([]);
  lab.want("v1.13.7");
  await lab.finish();
});

test(`killed ${kills} times: no node is upgraded twice or left cordoned, and two nodes are never down at once`, async () => {
  const figures = await crashRollouts({
    dir: lab.project.dir,
    kills,
    windowMs: 6_000,
    versions: ["v1.13.9", "v1.13.7"],
    say: () => undefined,
  });
  expect(figures).toMatchObject({
    kills: { engine: kills / 2, provider: kills / 2 },
    doubleUpgrades: [],
    missedUpgrades: [],
    cordoned: [],
  });
  expect(figures.mostDown.controlPlanes).toBeLessThanOrEqual(1);
  expect(figures.mostDown.workers).toBeLessThanOrEqual(1);
  expect(figures.mostDown.samples).toBeGreaterThan(100);
});
