import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { mutants, mutate } from "../night/mutants.ts";

const root = join(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

// The mutation check itself runs at night. This only checks that its list still matches the code.
describe("the checks that the mutation check removes", () => {
  it.each(mutants)("$file: $look", ({ look, file, from, to, test: [test, name] }) => {
    expect(mutate(read(file), { file, from, to })).not.toBe(read(file));
    expect(read(test)).toContain(name);
    expect(mutants.filter((other) => other.look === look && other.file === file)).toHaveLength(1);
  });
});
