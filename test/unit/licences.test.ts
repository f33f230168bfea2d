import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { isAllowed, licenceProblems, type LockFile } from "../../tools/licences.ts";

test.each([
  ["MIT", true],
  ["(MIT OR GPL-3.0-only)", true],
  ["Apache-2.0 AND MIT", true],
  ["Apache-2.0 AND GPL-2.0-only", false],
  ["GPL-3.0-or-later", false],
  ["SEE LICENSE IN LICENSE.md", false],
  ["UNLICENSED", false],
  ["(MIT AND (GPL-2.0 OR ISC))", false],
])("%s: %s", (expression, expected) => {
  expect(isAllowed(expression)).toBe(expected);
});

test("a package under another license, or under none, is named with its version", () => {
  const lock: LockFile = {
    packages: {
      "": { version: "1.0.0" },
      "node_modules/own": { link: true },
      "node_modules/fine": { version: "1.0.0", license: "ISC" },
      "node_modules/a/node_modules/@b/copyleft": { version: "2.0.0", license: "AGPL-3.0-only" },
      "node_modules/tool": { version: "1.0.0", license: "MPL-2.0", dev: true },
      "node_modules/part": { version: "1.0.0", license: "MPL-2.0" },
      "node_modules/none": { version: "3.0.0" },
    },
  };
  expect(licenceProblems(lock)).toEqual([
    expect.stringContaining("@b/copyleft@2.0.0 has the license AGPL-3.0-only") as string,
    expect.stringContaining("part@1.0.0 has the license MPL-2.0") as string,
    expect.stringContaining("none@3.0.0 names no license") as string,
  ]);
});

test("every package in the lock file has an allowed license", () => {
  const lock = JSON.parse(
    readFileSync(join(import.meta.dirname, "../../package-lock.json"), "utf8"),
  ) as LockFile;
  expect(licenceProblems(lock)).toEqual([]);
});
