import { afterAll, beforeAll, expect, test } from "vitest";
import { crashRollouts } from "../../lab/bench/crash.ts";
import { RolloutLab } from "./rollout.ts";

/** Rollouts whose engine or provider is killed with SIGKILL, over and over; `npm run bench -- crash` does it as often as one likes. */

const kills = 40;
let lab: RolloutLab;

beforeAll(async () => {
  lab = await RolloutLab.start(1.5);
  lab.want("v1.13.7");
  await lab.finish();
});
afterAll(async () => lab?.project.remove());

test(`killed ${kills} times: no node is upgraded twice or left cordoned, and never are two down`, async () => {
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
