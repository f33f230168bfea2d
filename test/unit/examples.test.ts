import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { allExamples, settingsIn } from "../exampleStacks.ts";
import { parseOutcome } from "./settings/example.ts";

const root = join(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

it("the examples are exactly these", () => {
  const names = allExamples().map(({ name }) => name);
  expect(names.sort()).toEqual([
    "both",
    "endpoints",
    "joviandss",
    "large",
    "longhorn",
    "mixed",
    "single-node",
    "synology",
    "trident",
    "truenas",
  ]);
});

describe.each(allExamples())("examples/$name", (example) => {
  const { name, text, secrets } = example;

  it("is accepted without a warning once its secrets are set", () => {
    const { settings, message } = parseOutcome(settingsIn(example));
    expect(message).toBe("");
    expect(settings?.warnings).toEqual([]);
  });

  it("lacks only its secrets, and tells how to set each", () => {
    const { problems } = parseOutcome(settingsIn(example, { secrets: false }));
    const { joviandss, synology } = settingsIn(example);
    // Drivers that are installed by other means have their secrets elsewhere.
    expect(secrets.length > 0).toBe(joviandss !== undefined || synology !== undefined);
    expect(problems.map(({ path }) => path).sort()).toEqual([...secrets].sort());
    for (const { reason } of problems) expect(reason).toContain("pulumi config set --secret --path");
  });

  it("is a new cluster, so a preview contacts no machine", () => {
    expect(parseOutcome(settingsIn(example)).settings?.cluster).not.toHaveProperty("secrets");
  });

  it("passes the editor's settings schema once its secrets are set", () => {
    const config = Object.entries(settingsIn(example)).map(([key, value]) => [`talos-iscsi:${key}`, value]);
    const schema = z.fromJSONSchema(JSON.parse(read("settings.schema.json")) as never);
    expect(schema.safeParse({ config: Object.fromEntries(config) as unknown }).error?.issues ?? []).toEqual(
      [],
    );
    expect(text).toMatch(/^# yaml-language-server: \$schema=settings\.schema\.json\n/);
  });

  it("is listed in examples/README.md with its number of nodes", () => {
    const rows = read("examples/README.md").split("\n");
    const [, , nodes] = (rows.find((row) => row.includes(`(${name}/Pulumi.example.yaml)`)) ?? "").split("|");
    const roles = (parseOutcome(settingsIn(example)).settings?.cluster.nodes ?? []).map(({ role }) => role);
    const count = (role: string, word: string): string[] => {
      const number = roles.filter((each) => each === role).length;
      return number === 0 ? [] : [`${number} ${word}${number === 1 ? "" : "s"}`];
    };
    expect(nodes?.trim()).toBe(
      [...count("controlplane", "control plane"), ...count("worker", "worker")].join(", "),
    );
  });
});
