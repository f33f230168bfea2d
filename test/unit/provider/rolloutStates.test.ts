import fc from "fast-check";
import { describe, it } from "vitest";
import { expectSafeHops, scattered } from "./randomHops.ts";
import {
  cluster,
  expectOrderlyRollout,
  expectSafeRollout,
  faultyCluster,
  propertyRuns,
} from "./randomRollouts.ts";

// 2,000 clusters here, always the same ones. At night 50,000, different ones each time (test/night/rolloutStates.test.ts).
const seed = 20261128;

describe("a rollout over a random cluster in a random state", () => {
  it("never takes down too many or the wrong nodes, and a second run finishes with every node upgraded once", async () => {
    await fc.assert(
      fc.asyncProperty(cluster, expectOrderlyRollout),
      propertyRuns(300, "never takes down", seed),
    );
  }, 300_000);

  it("whatever fails: never two control planes down, never a second installation, no cordon left, and it ends", async () => {
    await fc.assert(
      fc.asyncProperty(faultyCluster, expectSafeRollout),
      propertyRuns(1_700, "whatever fails", seed),
    );
  }, 300_000);

  it("hop by hop, killed at any moment: nodes at most one minor release apart, no hop twice, and it ends", async () => {
    await fc.assert(fc.asyncProperty(scattered, expectSafeHops), propertyRuns(100, "hop by hop", seed));
  }, 300_000);
});
