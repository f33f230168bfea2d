import { afterAll, describe, expect, test } from "vitest";
import type { Line } from "../../talos/mergeRules.ts";
import { fuzz } from "./merge/fuzz.ts";
import { Judge } from "./merge/judge.ts";

// Different sequences each night, so that coverage accumulates. A failure reports the number that reproduces its sequence.

const NIGHTLY = 20_000;
const first = Math.floor(Date.now() / 86_400_000) * NIGHTLY;

describe.each<Line>(["v1.13", "v1.14"])("the machinery of %s", (line) => {
  const judge = new Judge(line);
  afterAll(() => judge.close());

  test(`judges ${NIGHTLY} sequences of configurations and patches from number ${first} on`, async () => {
    const { compared, valid, refused, divergences } = await fuzz(judge, line, first, NIGHTLY);
    console.log(JSON.stringify({ line, first, sequences: NIGHTLY, compared, valid, refused }));
    expect(divergences.slice(0, 3)).toEqual([]);
    expect(compared).toBeGreaterThan(NIGHTLY / 2);
  });
});
