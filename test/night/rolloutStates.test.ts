import fc from "fast-check";
import { it } from "vitest";
import { expectSafeRollout, faultyCluster, runs } from "../unit/provider/randomRollouts.ts";

it("50,000 random clusters with faults", async () => {
  await fc.assert(fc.asyncProperty(faultyCluster, expectSafeRollout), runs(50_000, "whatever fails"));
}, 3_600_000);
