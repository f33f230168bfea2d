import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { nodeParts, nodePackageSpec } from "../../provider/nodeSchema.ts";
import { realClock } from "../../provider/clock.ts";
import { configurationSecrets } from "../../provider/nodeConfiguration/inputs.ts";
import { TalosNodeProvider } from "../../provider/plugin.ts";
import { unknownValue } from "../../talos/secrecy/engineValues.ts";
import { unwrap, type Properties } from "../../provider/secrets.ts";
import type { Surroundings } from "../../provider/session.ts";
import { alwaysSecret } from "../../provider/state.ts";
import { nodeSchemaText } from "../../tools/nodeSchema/schema.ts";
import { runProgram } from "./components/program.ts";
import { ofType } from "./components/recorder.ts";
import { canary, withValues, usualSettings } from "./settings/example.ts";

const root = join(import.meta.dirname, "../..");
const resources = Object.entries(nodeParts.resources);

/** Inputs that only this program's classes pass to each other: whether it is a preview, which run it is, and what is refused. */
const betweenClasses = ["preview", "run", "refused", "refusals"];

const check = async (token: string, given: Properties) => {
  const provider = new TalosNodeProvider({
    clock: realClock,
    statusOf: () => ({}),
  } as unknown as Surroundings);
  const checked = await provider.check(`urn:pulumi:prod::any::${token}::it`, {}, given);
  return { inputs: checked.inputs as Properties, failures: checked.failures ?? [] };
};

describe("the schema of the plugin talos-node", () => {
  it("is up to date with the classes in components/ (else run `npm run schema`)", async () => {
    expect(readFileSync(join(root, "provider", "schema.json"), "utf8")).toBe(await nodeSchemaText(root));
  });

  it("describes every input and output", () => {
    const bare = resources.flatMap(([token, { inputProperties, properties }]) =>
      Object.entries({ ...inputProperties, ...properties }).flatMap(([name, { description }]) =>
        description === undefined ? [`${token}.${name}`] : [],
      ),
    );
    expect(bare).toEqual([]);
  });

  it("refers only to types that it has", () => {
    const spec = nodePackageSpec();
    const refs = [...JSON.stringify(spec).matchAll(/"#\/types\/([^"]+)"/g)].map(([, name = ""]) => name);
    expect(refs.length).toBeGreaterThan(20);
    expect(refs.filter((name) => spec.types[name] === undefined)).toEqual([]);
  });

  it("marks as secret exactly what the plugin keeps secret", () => {
    const secret = new Set([...alwaysSecret, ...configurationSecrets, "hardware", "configurations"]);
    const wrong = resources.flatMap(([token, { inputProperties }]) =>
      Object.entries(inputProperties).flatMap(([name, { secret: isSecret = false }]) =>
        isSecret === secret.has(name) ? [] : [`${token}.${name}`],
      ),
    );
    expect(wrong).toEqual([]);
  });

  it.each(resources)("has no input of %s that the plugin refuses", async (token, { inputProperties }) => {
    const given = Object.fromEntries(Object.keys(inputProperties).map((name) => [name, unknownValue]));
    const { failures } = await check(token, given);
    expect(failures).toEqual([]);
  });

  it("is checked against a plugin that does refuse unknown inputs", async () => {
    const { failures } = await check("talos-node:index:NodeUpgrade", { strange: 1 });
    expect(failures.map(({ reason }) => reason)).toContainEqual(
      expect.stringContaining("[strange] is not an input of a NodeUpgrade"),
    );
  });

  it("has every input that this program sets", async () => {
    const settings = withValues(usualSettings(), {
      kubernetesVersion: "v1.35.4",
      "upgrade.through": "automatic",
    });
    const registered = (await runProgram(settings)).resources;
    for (const [token, { inputProperties, properties }] of resources) {
      const found = ofType(registered, token);
      const names = new Set(found.flatMap(({ inputs }) => Object.keys(inputs)));
      const others = [...names].filter((name) => !(name in inputProperties) && !(name in properties));
      expect(others.filter((name) => !betweenClasses.includes(name))).toEqual([]);
    }
  });

  it("omits what only this program's classes pass to each other", () => {
    const shown = resources.flatMap(([token, { inputProperties, properties }]) =>
      Object.keys({ ...inputProperties, ...properties })
        .filter((name) => betweenClasses.includes(name))
        .map((name) => `${token}.${name}`),
    );
    expect(shown).toEqual([]);
  });
});

describe("a resource with inputs from another program", () => {
  it("gets its machine configuration redacted by the plugin, with secrets marked as secret", async () => {
    const given = Object.fromEntries(
      ["clientConfiguration", "controlPlanes", "contract", "patches"].map((name) => [name, unknownValue]),
    );
    const { inputs, failures } = await check("talos-node:index:NodeConfiguration", {
      ...given,
      ...{ name: "w1", node: "10.0.0.21", role: "worker" },
      machineConfiguration: `machine: { token: ${canary}, type: worker }`,
      hidden: [{ value: "worker", keys: ["type"] }],
    });
    expect(failures).toEqual([]);
    const { values, secrets } = unwrap(inputs);
    expect(values["configuration"]).toContain("machine:");
    expect(values["configuration"]).not.toContain(canary);
    expect([...secrets].sort()).toEqual([...configurationSecrets].sort());
    const own = await check("talos-node:index:NodeConfiguration", { ...values, configuration: "its own" });
    expect(own.inputs).toMatchObject({ configuration: "its own" });
  });

  it("has an unknown redacted configuration while the configuration is unknown", async () => {
    const { inputs } = await check("talos-node:index:NodeConfiguration", {
      ...{ name: "w1", node: "10.0.0.21", role: "worker", contract: "v1.12", controlPlanes: ["10.0.0.11"] },
      ...{ clientConfiguration: {}, patches: [], machineConfiguration: unknownValue },
    });
    expect(inputs).toMatchObject({ configuration: unknownValue });
  });

  it("is checked without a drain, and has no hardware in plain text", async () => {
    const shared = ["nodes", "clientConfiguration", "schematicId", "controlPlanes"];
    const given = Object.fromEntries(shared.map((name) => [name, unknownValue]));
    const { inputs, failures } = await check("talos-node:index:RolloutReadiness", {
      ...given,
      ...{ onRemove: "keep", timeoutSeconds: 60, allowSkew: false },
      hardware: { named: { w1: [{ path: "machine.install.disk", disk: canary }] } },
    });
    expect(failures).toEqual([]);
    expect(inputs).toMatchObject({ drain: { enabled: false } });
    expect(unwrap(inputs).secrets).toContain("hardware");
  });

  it("may have unknown refusals", async () => {
    const { failures } = await check("talos-node:index:RolloutPreflight", {
      ...{ nodes: unknownValue, refusals: unknownValue },
    });
    expect(failures).toEqual([]);
  });
});
