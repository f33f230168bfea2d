import * as pulumi from "@pulumi/pulumi";
import { beforeEach, describe, expect, it } from "vitest";
import { loadSettings, settingsMessage } from "../../config.ts";
import { minimalSettings } from "./settings/example.ts";

/** Passes a stack's configuration as the engine does: text, with structured values as JSON. */
function configure(values: Record<string, unknown>, others: Record<string, string> = {}): void {
  const own = Object.entries(values).map(([key, value]) => [
    `talos-iscsi:${key}`,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  pulumi.runtime.setAllConfig({ ...others, ...(Object.fromEntries(own) as Record<string, string>) });
}

function failure(): unknown {
  try {
    loadSettings();
  } catch (error) {
    return error;
  }
  throw new Error("the settings were taken");
}

describe("loadSettings", () => {
  // The engine passes every value as text, whatever it is in the file.
  it.each([true, false])("takes a flag at the top: strictSecrets: %s", (strictSecrets) => {
    configure({ ...minimalSettings(), strictSecrets });
    expect(loadSettings().strictSecrets).toBe(strictSecrets);
  });

  beforeEach(async () => {
    await pulumi.runtime.setMocks(
      { newResource: ({ name }) => ({ id: name, state: {} }), call: () => ({}) },
      "talos-iscsi",
      "test",
    );
  });

  it("reads the project's own keys, parses structured ones from JSON, and ignores other projects' keys", () => {
    configure(minimalSettings(), { "kubernetes:context": "other", "other:talosVersion": "v1.2.3" });
    const settings = loadSettings();
    expect(settings.talosVersion).toBe("v1.13.9");
    expect(settings.cluster.nodes).toHaveLength(1);
    expect(settings.cluster.nodes[0]).toMatchObject({ name: "cp1", role: "controlplane" });
  });

  it("turns mistakes into an error that the engine shows verbatim: every mistake, where to fix it, no stack trace", () => {
    configure({ ...minimalSettings(), talosVersion: "latest", nonsense: "yes" });
    const error = failure();
    expect(pulumi.RunError.isInstance(error)).toBe(true);
    const message = (error as Error).message;
    expect(message.split("\n")).toEqual([
      "the configuration has 2 mistakes:",
      '  talosVersion: is "latest"; it must be a full Talos release with the v, such as v1.13.9 [settings-versions]',
      expect.stringMatching(/^ {2}nonsense: unknown key; known keys: talosVersion/),
      "Fix them in Pulumi.<stack>.yaml (its keys start with the project's name, `talos-iscsi:`) or with `pulumi config set`.",
    ]);
    expect(message).not.toMatch(/^\s+at /m);
  });

  it("names answers to `pulumi new` that were left empty, with what belongs there", () => {
    const node = ["name", "address", "role"].map((key) => `cluster.nodes[0].${key}`);
    const keys = ["talosVersion", "cluster.name", "cluster.endpoint", ...node];
    configure(Object.fromEntries(keys.map((key) => [key, ""])));
    const told = (failure() as Error).message.split("\n").slice(1, -1);
    expect(told.map((line) => line.split(": ")[0]?.trim())).toEqual(keys);
    for (const line of told) expect(line).toMatch(/: is (empty|""); it must be \S/);
  });

  it("says what is missing if there is no configuration at all", () => {
    configure({});
    expect((failure() as Error).message).toMatch(/talosVersion: is missing[\s\S]*cluster: missing/);
  });

  it.each([["{not: json"], ["[1, 2"], ["plain text"], [""]])(
    "refuses %j for a structured key, and asks for an object",
    (text) => {
      configure({ ...minimalSettings(), cluster: text });
      expect((failure() as Error).message).toMatch(
        /cluster: (is empty; it )?must be an object with the keys name, endpoint, nodes/,
      );
    },
  );

  it("leaves a bug's own error and stack trace alone", () => {
    expect(settingsMessage(new TypeError("x is not a function"))).toBeUndefined();
    expect(settingsMessage("text")).toBeUndefined();
  });
});
