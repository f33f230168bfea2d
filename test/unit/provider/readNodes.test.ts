import { performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { readNodes } from "../../../provider/readNodes.ts";

/** How many nodes are read at a time. */

const nodes = Array.from({ length: 200 }, (_, index) => index);

test("slow nodes are waited for all at once", async () => {
  let asked = 0;
  const allAsked = Promise.withResolvers<void>();
  const read = await readNodes(nodes, async (node) => {
    asked += 1;
    if (asked === nodes.length) allAsked.resolve();
    await allAsked.promise;
    return node;
  });
  expect(read).toEqual(nodes);
});

test("nodes whose answers keep the process busy are read a few at a time", async () => {
  let [running, most] = [0, 0];
  const end = performance.now() + 400;
  await readNodes(nodes, async () => {
    most = Math.max(most, ++running);
    for (let turn = 0; turn < 4 && performance.now() < end; turn += 1) {
      const until = performance.now() + 2;
      while (performance.now() < until);
      await setImmediate();
    }
    running -= 1;
  });
  expect(most).toBe(32);
});

test("the first error is reported, and no further node is read", async () => {
  let begun = 0;
  const reading = readNodes(nodes, async (node) => {
    begun += 1;
    await setImmediate();
    if (node === 3) throw new Error("w3 does not answer");
    await new Promise(() => undefined);
  });
  await expect(reading).rejects.toThrow("w3 does not answer");
  const asked = begun;
  await new Promise((resolve) => setTimeout(resolve, 120));
  expect(begun).toBe(asked);
});
