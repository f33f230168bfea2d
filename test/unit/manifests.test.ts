import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";

const root = join(import.meta.dirname, "../..");
const read = (name: string): string => readFileSync(join(root, name), "utf8");

describe("requiredPulumiVersion", () => {
  const [, tested = ""] = /pulumi\/pkg\/v3 v(\S+)/.exec(read("tools/pulumi/go.mod")) ?? [];

  it.each(["Pulumi.yaml", "plugin/PulumiPlugin.yaml", "provider/PulumiPlugin.yaml"])(
    "of %s is the oldest engine that the tests use",
    (name) => {
      expect(tested).toMatch(/^3\./);
      expect(parse(read(name))).toMatchObject({ requiredPulumiVersion: `>=${tested}` });
    },
  );
});

describe("AGENTS.md", () => {
  const text = read("AGENTS.md");
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };

  it("names existing scripts and files", () => {
    const named = [...text.matchAll(/npm run ([a-z:]+)/g)].map(([, name = ""]) => name);
    expect(named.length).toBeGreaterThan(3);
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
    const files = [...text.matchAll(/[\w./-]+\.(?:md|json|yaml)\b|\w+\/gate\//g)].map(([name]) => name);
    expect(files.length).toBeGreaterThan(5);
    expect(files.filter((name) => !existsSync(join(root, name)))).toEqual([]);
  });

  it("shows tests of the right project in its examples", () => {
    const projects = [...text.matchAll(/--project (\w+) test\/(\w+)\//g)].map(([, ...names]) => names);
    expect(projects.length).toBeGreaterThan(2);
    expect(projects.filter(([project, folder]) => project !== folder)).toEqual([]);
  });
});
