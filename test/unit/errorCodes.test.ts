import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { coded, errorCodes, framed, hasCode } from "../../talos/errorCodes.ts";

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/troubleshooting.md"), "utf8");
const sections = page.split(/^## /m).map((section) => ({
  title: section.split("\n", 1)[0],
  codes: [...section.matchAll(/^- `([a-z0-9-]+)`: /gm)].map(([, code = ""]) => code),
}));

describe("docs/troubleshooting.md", () => {
  it("explains every code once, and no unknown one", () => {
    const explained = sections.flatMap(({ codes }) => codes);
    expect([...explained].sort()).toEqual([...errorCodes].sort());
  });

  it.each(sections)("lists the codes of $title in order", ({ codes }) => {
    expect(codes).toEqual([...codes].sort());
  });
});

it("the program reports every code", () => {
  const code = globSync(
    "{*,{accept,components,doctor,plugin,policy,provider,report,settings,talos}/**/*}.ts",
    {
      cwd: root,
    },
  )
    .filter((path) => !path.endsWith("errorCodes.ts"))
    .map((path) => readFileSync(join(root, path), "utf8"))
    .join("\n");
  expect(errorCodes.filter((one) => !code.includes(`"${one}"`))).toEqual([]);
});

it("a code follows the problem and precedes the advice", () => {
  const text = coded("etcd-learner", "etcd member cp3 is a learner.", "Wait.");
  expect(text).toBe("etcd member cp3 is a learner [etcd-learner]. Wait.");
  expect(framed("cp1: ", text, " Then retry.")).toBe(`cp1: ${text} Then retry.`);
  expect(hasCode(text, "etcd-alarm", "etcd-learner")).toBe(true);
  expect(hasCode(text, "etcd-alarm")).toBe(false);
});
