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

// 2,000 clusters here, the same every time; 50,000 at night, others each night (test/night/rolloutStates.test.ts).
const seed = 20261128;

describe("a rollout over a random cluster in a random state", () => {
  it("never takes down too many, touches nothing out of turn, and a second run finishes with every node upgraded once", async () => {
    await fc.assert(
      fc.asyncProperty(cluster, expectOrderlyRollout),
      propertyRuns(300, "never takes down", seed),
    );
  }, 300_000);

  it("whatever fails on the way: never two control planes down, never a second installation, no cordon left, and an end", async () => {
    await fc.assert(
      fc.asyncProperty(faultyCluster, expectSafeRollout),
      propertyRuns(1_700, "whatever fails", seed),
    );
  }, 300_000);

  it("hop by hop, killed at any moment: never more than one minor release apart, no hop twice, and an end", async () => {
    await fc.assert(fc.asyncProperty(scattered, expectSafeHops), propertyRuns(100, "hop by hop", seed));
  }, 300_000);
});
