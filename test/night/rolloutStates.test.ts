import fc from "fast-check";
import { it } from "vitest";
import { expectSafeHops, scattered } from "../unit/provider/randomHops.ts";
import { expectSafeRollout, faultyCluster, propertyRuns } from "../unit/provider/randomRollouts.ts";

it("50,000 random clusters with faults", async () => {
  await fc.assert(fc.asyncProperty(faultyCluster, expectSafeRollout), propertyRuns(50_000, "whatever fails"));
}, 3_600_000);

it("3,000 random clusters at random releases, hop by hop with kills", async () => {
  await fc.assert(fc.asyncProperty(scattered, expectSafeHops), propertyRuns(3_000, "hop by hop"));
}, 3_600_000);
