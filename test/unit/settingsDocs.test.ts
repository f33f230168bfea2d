import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { parseSettings } from "../../config.ts";
import { settingsFiles } from "../../tools/settings/files.ts";
import { allKeys, settingsKeys, type Key } from "../../tools/settings/keys.ts";
import { anyName } from "../../settings/jsonSchema.ts";
import { introductions } from "../../settings/introductions.ts";
import { examples } from "../../tools/settings/texts.ts";
import { bundle, withValues, talosconfig } from "./settings/example.ts";

const root = join(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** The settings in a stack file's text, as the program gets them. */
function settingsIn(text: string): Record<string, unknown> {
  const { config } = parse(text) as { config: Record<string, unknown> };
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [key.replace(/^talos-iscsi:/, ""), decrypted(value)]),
  );
}

/** Decrypts as the engine does before the program sees a value: `{ secure: … }` becomes text. */
function decrypted(value: unknown, name = ""): unknown {
  if (Array.isArray(value)) return value.map((item) => decrypted(item));
  if (typeof value !== "object" || value === null) return value;
  if ("secure" in value) return { bundle, talosconfig }[name] ?? "decrypted";
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, decrypted(inner, key)]));
}

/** The template with every key uncommented. */
function switchedOn(): Record<string, unknown> {
  return settingsIn(read("Pulumi.template.yaml").replace(/^( *)#(?![#!]|$| (?! ))/gm, "$1"));
}

describe("files generated from the settings' schema", () => {
  let written: Record<string, string>;
  beforeAll(async () => {
    written = await settingsFiles(root);
  });

  it.each(["docs/settings.md", "docs/compatibility.md", "Pulumi.template.yaml", "settings.schema.json"])(
    "%s is up to date (else run `npm run docs:settings`)",
    (path) => {
      expect(read(path)).toBe(written[path]);
    },
  );

  it("every key has a description, and every value has an example or a default", () => {
    const keys = allKeys(settingsKeys());
    expect(keys.length).toBeGreaterThan(100);
    expect(keys.filter(({ description }) => description === "").map(({ path }) => path)).toEqual([]);
    const bare = keys.filter(
      ({ variants, byDefault, example }) =>
        variants.length === 0 && byDefault === undefined && example === undefined,
    );
    // Keys of one-line entries, and alternative sets of keys after the first, are only in the reference.
    expect(bare.map(({ path }) => path).filter((path) => !isUnshown(path))).toEqual([]);
  });

  it("no text or example is left for a removed key", () => {
    const keys = allKeys(settingsKeys());
    const paths = new Set(keys.map(({ path }) => path));
    expect(
      [...Object.keys(examples), ...Object.keys(introductions)].filter((path) => !paths.has(path)),
    ).toEqual([]);
  });

  it("every key has a row in the reference, or a row that refers to the same keys elsewhere", () => {
    const rows = new Map(
      [...read("docs/settings.md").matchAll(/^\| `([^`]+)` .*$/gm)].map(([row, path = ""]) => [path, row]),
    );
    const isReferred = (path: string): boolean =>
      path.split(".").some((_, index, names) =>
        rows
          .get(names.slice(0, index).join(".").replace(/\[\]$/, ""))
          ?.match(/Keys as `([^`]+)`/)
          ?.slice(1)
          .every((other) => rows.has(other)),
      );
    const missing = allKeys(settingsKeys()).filter(({ path }) => !rows.has(path) && !isReferred(path));
    expect(missing.map(({ path }) => path)).toEqual([]);
  });

  it("every output of the program is described", () => {
    const exported = /^export const \{([^}]*)\}/m.exec(read("index.ts"))?.[1] ?? "";
    const names = [...exported.matchAll(/\w+/g)].map(([name]) => name);
    const outputs = read("docs/settings.md").split("## Outputs")[1] ?? "";
    expect(names).toContain("kubeconfig");
    expect(names.filter((name) => !new RegExp(`\\| \`${name}\` +\\| \\w`).test(outputs))).toEqual([]);
  });
});

describe("Pulumi.template.yaml", () => {
  it("is a valid stack file with only the required settings", () => {
    const settings = settingsIn(read("Pulumi.template.yaml"));
    expect(Object.keys(settings)).toEqual(["talosVersion", "cluster"]);
    expect(parseSettings(settings).warnings).toEqual([]);
  });

  it("has every key once all of them are uncommented", () => {
    // The template uses an example's name where the reference says NAME.
    const byName = allKeys(settingsKeys()).filter(({ name }) => name === anyName);
    const plain = (path: string) =>
      byName.reduce(
        (text, key) => text.replace(key.path.replace(anyName, String(key.example)), key.path),
        path,
      );
    const there = new Set(pathsIn(switchedOn()).map(plain));
    const missing = allKeys(settingsKeys()).filter(({ path }) => !there.has(path) && !isUnshown(path));
    expect(missing.map(({ path }) => path)).toEqual([]);
  });

  it("shows defaults that change nothing when uncommented", () => {
    const plain = settingsIn(read("Pulumi.template.yaml"));
    const { image, upgrade } = switchedOn();
    // Snapshots are off without their section.
    const {
      etcdSnapshot,
      pools: _ofClusterPools,
      windows: _example,
      gates: _objects,
      storageGate,
      ...defaults
    } = upgrade as Record<string, unknown>;
    // Without the setting, the drivers decide whether there is a gate.
    const { enabled: _enabled, ...gate } = storageGate as Record<string, unknown>;
    expect(parseSettings({ ...plain, image, upgrade: { ...defaults, storageGate: gate } })).toEqual(
      parseSettings(plain),
    );
    expect(() => parseSettings({ ...plain, upgrade: { etcdSnapshot } })).not.toThrow();
  });

  it.each(["joviandss", "synology"])("has a section %s that is valid when uncommented", (driver) => {
    const plain = settingsIn(read("Pulumi.template.yaml"));
    expect(() => parseSettings({ ...plain, [driver]: switchedOn()[driver] })).not.toThrow();
  });
});

const environments = ["Pulumi.staging.example.yaml", "Pulumi.prod.example.yaml"];

describe.each(environments)("%s", (path) => {
  it("is accepted without a warning once its commands have set the secrets", () => {
    expect(parseSettings(settingsIn(withSecrets(read(path)))).warnings).toEqual([]);
  });

  it("contains no secrets, and without them the error lists which are missing", () => {
    const text = read(path);
    const wanted = secretPaths(text);
    expect(wanted.length).toBeGreaterThan(0);
    expect(text).not.toMatch(/^\s*(?:password|secure):/m);
    const told = (() => {
      try {
        return parseSettings(settingsIn(text)) && "";
      } catch (error) {
        return (error as Error).message;
      }
    })();
    for (const secret of wanted) expect(told).toContain(secret.replace(/^(cluster\.secrets)\..*/, "$1"));
  });
});

/** The paths that the commands in a file's comments set. */
function secretPaths(text: string): string[] {
  return [...text.matchAll(/# \w+: pulumi config set --secret --path '?([\w.[\]]+)/g)].map(
    ([, path = ""]) => path,
  );
}

/** A stack's file after its commands, with encrypted values. */
function withSecrets(text: string): string {
  const file = parse(text) as { config: Record<string, unknown> };
  const values = secretPaths(text).map((path) => [`talos-iscsi:${path}`, { secure: "v1:abc" }] as const);
  return stringify({ ...file, config: withValues(file.config, Object.fromEntries(values)) });
}

describe("settings.schema.json", () => {
  const schema = (): z.ZodType => z.fromJSONSchema(JSON.parse(read("settings.schema.json")) as never);
  const stack = (path: string): unknown =>
    parse(environments.includes(path) ? withSecrets(read(path)) : read(path));

  it.each([
    "Pulumi.dev.yaml",
    "Pulumi.dev-new.yaml",
    "Pulumi.template.yaml",
    "Pulumi.staging.example.yaml",
    "Pulumi.prod.example.yaml",
  ])("accepts %s", (path) => {
    expect(schema().safeParse(stack(path)).error?.issues ?? []).toEqual([]);
  });

  it.each<[string, (config: Record<string, unknown>) => void]>([
    ["an unknown key of this project", (config) => (config["talos-iscsi:talosVersoin"] = "v1.13.9")],
    ["an unknown key in a section", (config) => (config["talos-iscsi:upgrade"] = { prepull: true })],
    ["a missing key", (config) => delete config["talos-iscsi:talosVersion"]],
    ["a wrong type", (config) => (config["talos-iscsi:image"] = { secureBoot: "yes" })],
    ["a wrong word", (config) => (config["talos-iscsi:joviandss"] = { logLevel: "loud" })],
  ])("refuses %s", (_, spoil) => {
    const file = stack("Pulumi.dev.yaml") as { config: Record<string, unknown> };
    spoil(file.config);
    expect(schema().safeParse(file).success).toBe(false);
  });

  it("accepts keys of other providers, encrypted values and ESC environments", () => {
    const file = stack("Pulumi.dev.yaml") as { config: Record<string, unknown> };
    file.config["kubernetes:namespace"] = "x";
    file.config["talos-iscsi:talosVersion"] = { secure: "v1:abc" };
    expect(schema().safeParse(file).success).toBe(true);
    expect(schema().safeParse({ environment: ["prod/talos"], config: {} }).success).toBe(true);
  });
});

const hidden = unshown(settingsKeys());

function isUnshown(path: string): boolean {
  return hidden.has(path);
}

/** Keys that only the reference shows. */
function unshown(keys: Key[]): Set<string> {
  return new Set(
    keys.flatMap((key) => {
      const [first, ...others] = key.variants;
      const shown = new Set(first?.keys.map(({ path }) => path));
      const hidden = others.flatMap((variant) => allKeys(variant.keys)).map(({ path }) => path);
      const optionalEntries =
        key.list && key.byDefault !== undefined && first?.keys.every(({ required }) => !required) === true;
      return [
        ...hidden.filter((path) => !shown.has(path)),
        ...(optionalEntries ? allKeys(first?.keys ?? []).map(({ path }) => path) : []),
        ...unshown(first?.keys ?? []),
      ];
    }),
  );
}

function pathsIn(value: unknown, parent = ""): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => pathsIn(item, `${parent}[]`));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const path = parent === "" ? key : `${parent}.${key}`;
    return [path, ...pathsIn(inner, path)];
  });
}
