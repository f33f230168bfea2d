import { setImmediate, setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { readNodes } from "../../../provider/readNodes.ts";

/** How many nodes are read at a time. */

const nodes = Array.from({ length: 200 }, (_, index) => index);

test("nodes are read 32 at a time, however long they take to answer", async () => {
  let [running, most] = [0, 0];
  const read = await readNodes(nodes, async (node) => {
    most = Math.max(most, ++running);
    await setTimeout(60);
    running -= 1;
    return node;
  });
  expect(read).toEqual(nodes);
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
  await setTimeout(120);
  expect(begun).toBe(asked);
});
