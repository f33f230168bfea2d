import * as pulumi from "@pulumi/pulumi";
import { getResourceModule } from "@pulumi/pulumi/runtime/rpc.js";
import * as talos from "@pulumiverse/talos";
import manifest from "@pulumiverse/talos/package.json" with { type: "json" };
import { describe, expect, it } from "vitest";
import { expectPlugin } from "./talosSdk/expectPlugin.ts";
import { only, recordRequests, valueOf, wireSecret } from "./talosSdk/recorder.ts";
import {
  functions,
  parseToken,
  type PropertySpec,
  resources,
  samples,
  schema,
  schemaVersion,
} from "./talosSdk/schema.ts";

type Bag = Record<string, unknown>;

interface ResourceClass {
  new (name: string, args?: unknown, opts?: pulumi.CustomResourceOptions): pulumi.CustomResource & Bag;
  get(
    name: string,
    id: string,
    state?: unknown,
    opts?: pulumi.CustomResourceOptions,
  ): pulumi.CustomResource & Bag;
  isInstance(obj: unknown): boolean;
  __pulumiType: string;
}

type ProviderFunction<Result> = (args?: unknown, opts?: pulumi.InvokeOptions) => Result;

/** A class or function of the SDK, found by its token. */
function exported(token: string, suffix = ""): unknown {
  const { module, member } = parseToken(token);
  return (talos as unknown as Record<string, Bag | undefined>)[module]?.[member + suffix];
}

function resourceClass(token: string): ResourceClass {
  return exported(token) as ResourceClass;
}

/** Properties as sent to the engine, with the schema's secrets wrapped. */
function onWire(values: Bag, specs: Record<string, PropertySpec>): Bag {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, specs[name]?.secret ? wireSecret(value) : value]),
  );
}

function secretNames(specs: Record<string, PropertySpec>): string[] {
  return Object.keys(specs)
    .filter((name) => specs[name]?.secret)
    .sort();
}

describe("package of the Talos SDK", () => {
  it("names the plugin that the engine has to install", () => {
    expect(manifest.name).toBe("@pulumiverse/talos");
    expect(manifest.version).toBe(schemaVersion);
    expect(manifest.pulumi).toEqual({
      resource: true,
      name: schema.name,
      version: schemaVersion,
      server: schema.pluginDownloadURL,
    });
  });

  it("exports exactly what the schema has", () => {
    const expected = [
      ...resources.map(([token]) => parseToken(token)),
      ...functions.map(([token]) => parseToken(token)),
      ...functions.map(([token]) => ({ ...parseToken(token), member: `${parseToken(token).member}Output` })),
    ].map(({ module, member }) => `${module}.${member}`);
    const { Provider, config, types, ...modules } = talos;
    expect([Provider, config, types].every(Boolean)).toBe(true);
    const actual = Object.entries(modules).flatMap(([module, members]) =>
      Object.keys(members).map((member) => `${module}.${member}`),
    );
    expect(actual.sort()).toEqual(expected.sort());
  });
});

describe.each(resources)("%s", (token, spec) => {
  const inputs = spec.inputProperties ?? {};
  const outputs = spec.properties ?? {};
  const required = spec.requiredInputs ?? [];

  it("registers every input under its name, with secrets wrapped", async () => {
    const recorded = await recordRequests({ state: samples(outputs) });
    const args = samples(inputs);
    await valueOf(new (resourceClass(token))("it", args).urn);
    const request = only(recorded);
    expect(request.method).toBe("registerResource");
    expect(request.token).toBe(token);
    expect(request.properties).toEqual(onWire(args, inputs));
    expectPlugin(request);
  });

  it("keeps secret outputs secret, and has exactly the schema's aliases", async () => {
    const recorded = await recordRequests({ state: samples(outputs) });
    await valueOf(
      new (resourceClass(token))("it", samples(inputs), { additionalSecretOutputs: ["mine"] }).urn,
    );
    const { request } = only(recorded);
    expect(request.additionalsecretoutputsList).toEqual(["mine", ...secretNames(outputs)]);
    expect(request.aliasesList).toEqual(spec.aliases ?? []);
    expect(request.custom).toBe(true);
  });

  it("has an output for every property, with the provider's value", async () => {
    await recordRequests({ state: samples(outputs) });
    const resource = new (resourceClass(token))("it", samples(inputs));
    for (const [name, value] of Object.entries(samples(outputs))) {
      expect(pulumi.Output.isInstance(resource[name]), name).toBe(true);
      expect(await valueOf(resource[name] as pulumi.Output<unknown>), name).toEqual(value);
    }
  });

  it("requires exactly the required inputs", async () => {
    await recordRequests({});
    const Class = resourceClass(token);
    const enough = samples(Object.fromEntries(required.map((name) => [name, inputs[name] ?? {}])));
    await valueOf(new Class("enough", enough).urn);
    for (const name of required) {
      const args = { ...samples(inputs), [name]: undefined };
      expect(() => new Class("it", args)).toThrow(`Missing required property '${name}'`);
    }
    if (required.length > 0) expect(() => new Class("it")).toThrow("Missing required property");
    else await valueOf(new Class("nothing").urn);
  });

  it("reads an existing resource by its ID and state", async () => {
    const recorded = await recordRequests({ state: samples(outputs) });
    const state = samples(spec.stateInputs?.properties ?? {});
    const resource = resourceClass(token).get("it", "some-id", state, { protect: true });
    expect(await valueOf(resource.id)).toBe("some-id");
    const request = only(recorded);
    expect(request.method).toBe("readResource");
    expect(request.token).toBe(token);
    expect(request.request.id).toBe("some-id");
    expect(request.properties).toEqual(state);
    expect(request.request.additionalsecretoutputsList).toEqual(secretNames(outputs));
    expectPlugin(request);
  });

  it("lets the caller choose another plugin version", async () => {
    const recorded = await recordRequests({});
    await valueOf(
      new (resourceClass(token))("it", samples(inputs), { version: "0.9.0", pluginDownloadURL: "x:y" }).urn,
    );
    expect(only(recorded)).toMatchObject({ version: "0.9.0", pluginDownloadUrl: "x:y" });
  });

  it("is recognized by isInstance, and can be rebuilt from a reference", async () => {
    await recordRequests({});
    const Class = resourceClass(token);
    const resource = new Class("it", samples(inputs));
    expect(Class.__pulumiType).toBe(token);
    for (const [other] of resources) expect(resourceClass(other).isInstance(resource)).toBe(other === token);
    expect(Class.isInstance({ __pulumiType: token })).toBe(true);
    expect(Class.isInstance(undefined)).toBe(false);
    expect(Class.isInstance(null)).toBe(false);

    const module = getResourceModule("talos", token.split(":")[1] ?? "", schemaVersion);
    const urn = await valueOf(resource.urn);
    const again = module?.construct("it", token, urn);
    expect(again).toBeInstanceOf(Class);
    expect(await valueOf((again as pulumi.Resource).urn)).toBe(urn);
    expect(() => module?.construct("it", "talos:machine/other:Other", urn)).toThrow(
      "talos:machine/other:Other",
    );
  });
});

describe.each(functions)("%s", (token, { inputs, outputs }) => {
  const plain = exported(token) as ProviderFunction<Promise<Bag>>;
  const output = exported(token, "Output") as ProviderFunction<pulumi.Output<Bag>>;
  const args = samples(inputs.properties);
  const result = samples(outputs.properties);

  it("sends every argument and returns the provider's result", async () => {
    const recorded = await recordRequests({ result });
    expect(await plain({ ...args, unknown: "left out" })).toEqual(result);
    const request = only(recorded);
    expect(request.method).toBe("invoke");
    expect(request.token).toBe(token);
    expect(request.properties).toEqual(args);
    expectPlugin(request);
  });

  it("accepts outputs, sends every argument, and keeps the provider's secrets secret", async () => {
    const secrets = Object.fromEntries(
      secretNames(outputs.properties).map((name) => [name, pulumi.secret(result[name])]),
    );
    const recorded = await recordRequests({ result: { ...result, ...secrets } });
    const late = Object.fromEntries(
      Object.entries(args).map(([name, value]) => [name, pulumi.output(value)]),
    );
    const returned = output({ ...late, unknown: "left out" });
    expect(await valueOf(returned)).toEqual(result);
    expect(await pulumi.isSecret(returned)).toBe(Object.keys(secrets).length > 0);
    const request = only(recorded);
    expect(request.token).toBe(token);
    expect(request.properties).toEqual(args);
    expectPlugin(request);
  });

  it("omits arguments that are not given", async () => {
    const recorded = await recordRequests({ result });
    const required = Object.fromEntries((inputs.required ?? []).map((name) => [name, args[name]]));
    const none = Object.keys(required).length === 0;
    await plain(none ? undefined : required);
    await valueOf(output(none ? undefined : required));
    expect(recorded.map(({ properties }) => properties)).toEqual([required, required]);
  });

  it("lets the caller choose another plugin version", async () => {
    const recorded = await recordRequests({ result });
    await plain(args, { version: "0.9.0" });
    expect(only(recorded)).toMatchObject({ version: "0.9.0", pluginDownloadUrl: schema.pluginDownloadURL });
  });
});
