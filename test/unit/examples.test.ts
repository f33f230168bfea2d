import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { allExamples } from "../exampleStacks.ts";
import { changed, outcome } from "./settings/example.ts";

const root = join(import.meta.dirname, "../..");

/** The settings in an example, as the program gets them once `secrets` are set. */
function settingsIn(text: string, secrets: string[]): Record<string, unknown> {
  const { config } = parse(text) as { config: Record<string, unknown> };
  const own = Object.entries(config).map(([key, value]) => [key.replace(/^talos-iscsi:/, ""), value]);
  return changed(
    Object.fromEntries(own) as Record<string, unknown>,
    Object.fromEntries(secrets.map((path) => [path, "a password"])),
  );
}

it("are these", () => {
  expect(
    allExamples()
      .map(({ name }) => name)
      .sort(),
  ).toEqual(["both", "joviandss", "single-node", "synology"]);
});

describe.each(allExamples())("examples/$name", ({ name, text, secrets }) => {
  it("is accepted without a warning once its secrets are set", () => {
    const { settings, message } = outcome(settingsIn(text, secrets));
    expect(message).toBe("");
    expect(settings?.warnings).toEqual([]);
  });

  it("lacks its secrets alone, and tells how each is set", () => {
    const { problems } = outcome(settingsIn(text, []));
    expect(secrets.length).toBeGreaterThan(0);
    expect(problems.map(({ path }) => path).sort()).toEqual([...secrets].sort());
    for (const { reason } of problems) expect(reason).toContain("pulumi config set --secret --path");
  });

  it("is a new cluster, so that a preview asks no machine", () => {
    expect(outcome(settingsIn(text, secrets)).settings?.cluster).not.toHaveProperty("secrets");
  });

  it("is what an editor with the settings' schema accepts once its secrets are set", () => {
    const config = settingsIn(text, secrets);
    const file = {
      config: Object.fromEntries(Object.entries(config).map(([key, value]) => [`talos-iscsi:${key}`, value])),
    };
    const schema = z.fromJSONSchema(
      JSON.parse(readFileSync(join(root, "settings.schema.json"), "utf8")) as never,
    );
    expect(schema.safeParse(file).error?.issues ?? []).toEqual([]);
    expect(text).toMatch(/^# yaml-language-server: \$schema=settings\.schema\.json\n/);
  });

  it("stands in the table of examples/README.md, with the number of its nodes", () => {
    const row = readFileSync(join(root, "examples/README.md"), "utf8")
      .split("\n")
      .find((line) => line.includes(`(${name}/Pulumi.example.yaml)`));
    const nodes = outcome(settingsIn(text, secrets)).settings?.cluster.nodes ?? [];
    const controlPlanes = nodes.filter(({ role }) => role === "controlplane").length;
    expect(row).toContain(`| ${controlPlanes} control plane`);
    if (nodes.length > controlPlanes) expect(row).toContain(`, ${nodes.length - controlPlanes} workers `);
    else expect(row).not.toContain("workers |");
  });
});
