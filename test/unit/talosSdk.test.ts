import * as pulumi from "@pulumi/pulumi";
import { getResourceModule, getResourcePackage } from "@pulumi/pulumi/runtime/rpc.js";
import * as talos from "@pulumiverse/talos";
import manifest from "@pulumiverse/talos/package.json" with { type: "json" };
import { describe, expect, it } from "vitest";
import { only, type Recorded, recordRequests, valueOf, wireSecret } from "./talosSdk/recorder.ts";
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

/** The properties as they have to look on the wire: the schema's secrets wrapped. */
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

function expectPlugin(recorded: Recorded): void {
  expect(recorded.version).toBe(schemaVersion);
  expect(recorded.pluginDownloadUrl).toBe(schema.pluginDownloadURL);
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

  it("has what the schema has and nothing else", () => {
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

  it("registers every input under its name, the secret ones wrapped", async () => {
    const recorded = await recordRequests({ state: samples(outputs) });
    const args = samples(inputs);
    await valueOf(new (resourceClass(token))("it", args).urn);
    const request = only(recorded);
    expect(request.method).toBe("registerResource");
    expect(request.token).toBe(token);
    expect(request.properties).toEqual(onWire(args, inputs));
    expectPlugin(request);
  });

  it("asks the engine to keep the secret outputs secret, and knows no other aliases", async () => {
    const recorded = await recordRequests({ state: samples(outputs) });
    await valueOf(
      new (resourceClass(token))("it", samples(inputs), { additionalSecretOutputs: ["mine"] }).urn,
    );
    const { request } = only(recorded);
    expect(request.additionalsecretoutputsList).toEqual(["mine", ...secretNames(outputs)]);
    expect(request.aliasesList).toEqual(spec.aliases ?? []);
    expect(request.custom).toBe(true);
  });

  it("has an output for every property, at once and with the provider's value later", async () => {
    await recordRequests({ state: samples(outputs) });
    const resource = new (resourceClass(token))("it", samples(inputs));
    for (const [name, value] of Object.entries(samples(outputs))) {
      expect(pulumi.Output.isInstance(resource[name]), name).toBe(true);
      expect(await valueOf(resource[name] as pulumi.Output<unknown>), name).toEqual(value);
    }
  });

  it("needs the required inputs and no others", async () => {
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

  it("looks up an existing one by its ID and state", async () => {
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

  it("lets the caller choose another plugin", async () => {
    const recorded = await recordRequests({});
    await valueOf(
      new (resourceClass(token))("it", samples(inputs), { version: "0.9.0", pluginDownloadURL: "x:y" }).urn,
    );
    expect(only(recorded)).toMatchObject({ version: "0.9.0", pluginDownloadUrl: "x:y" });
  });

  it("is recognized, and made again from a reference", async () => {
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

  it("sends every argument and returns what the provider does", async () => {
    const recorded = await recordRequests({ result });
    expect(await plain({ ...args, unknown: "left out" })).toEqual(result);
    const request = only(recorded);
    expect(request.method).toBe("invoke");
    expect(request.token).toBe(token);
    expect(request.properties).toEqual(args);
    expectPlugin(request);
  });

  it("takes outputs, sends every argument, and keeps the provider's secrets secret", async () => {
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

  it("sends nothing for arguments that are not given", async () => {
    const recorded = await recordRequests({ result });
    const required = Object.fromEntries((inputs.required ?? []).map((name) => [name, args[name]]));
    const none = Object.keys(required).length === 0;
    await plain(none ? undefined : required);
    await valueOf(output(none ? undefined : required));
    expect(recorded.map(({ properties }) => properties)).toEqual([required, required]);
  });

  it("lets the caller choose another plugin", async () => {
    const recorded = await recordRequests({ result });
    await plain(args, { version: "0.9.0" });
    expect(only(recorded)).toMatchObject({ version: "0.9.0", pluginDownloadUrl: schema.pluginDownloadURL });
  });
});

describe("provider of the Talos SDK", () => {
  const inputs = schema.provider.inputProperties ?? {};

  it("registers its settings", async () => {
    const recorded = await recordRequests({ state: samples(inputs) });
    const provider = new talos.Provider("it", samples(inputs));
    await valueOf(provider.urn);
    const request = only(recorded);
    expect(request.token).toBe("pulumi:providers:talos");
    expect(request.properties).toEqual(samples(inputs));
    expectPlugin(request);
    expect(await valueOf(provider.imageFactoryUrl)).toBe("value of imageFactoryUrl");
    await valueOf(new talos.Provider("bare").urn);
  });

  it("is recognized, and made again from a reference", async () => {
    await recordRequests({});
    const provider = new talos.Provider("it");
    expect(talos.Provider.isInstance(provider)).toBe(true);
    expect(talos.Provider.isInstance(new talos.machine.Secrets("it"))).toBe(false);
    expect(talos.Provider.isInstance(undefined)).toBe(false);

    const registered = getResourcePackage("talos", schemaVersion);
    const urn = await valueOf(provider.urn);
    const again = registered?.constructProvider("it", "pulumi:providers:talos", urn);
    expect(again).toBeInstanceOf(talos.Provider);
    expect(() => registered?.constructProvider("it", "pulumi:providers:other", urn)).toThrow("other");
  });

  it("serves the resources and functions that name it", async () => {
    const recorded = await recordRequests({});
    const provider = new talos.Provider("it");
    const id = `${await valueOf(provider.urn)}::it-id`;
    await valueOf(new talos.machine.Secrets("secrets", {}, { provider }).urn);
    await valueOf(talos.imagefactory.getVersionsOutput({}, { provider }));
    expect(recorded.slice(1).map(({ request }) => request.provider)).toEqual([id, id]);
  });

  it("tells its settings under their Terraform names", async () => {
    const result = { result: { image_factory_url: "http://127.0.0.1" } };
    const recorded = await recordRequests({ result });
    const provider = new talos.Provider("it");
    expect(await valueOf(provider.terraformConfig())).toEqual(result);
    const call = recorded.find(({ method }) => method === "call");
    expect(call?.token).toBe(schema.provider.methods.terraformConfig);
    expect(Object.keys(call?.properties ?? {})).toEqual(["__self__"]);
  });

  it("reads the stack's configuration when asked for it", () => {
    for (const name of Object.keys(schema.config.variables)) {
      const config = talos.config as Record<string, unknown>;
      expect(config[name]).toBeUndefined();
      pulumi.runtime.setConfig(`talos:${name}`, "http://127.0.0.1:8080");
      expect(config[name]).toBe("http://127.0.0.1:8080");
    }
  });
});

describe("a program with the Talos SDK", () => {
  it("passes one resource's outputs on to the next, as the types allow", async () => {
    const clientConfiguration: talos.types.output.machine.ClientConfiguration = {
      caCertificate: "ca",
      clientCertificate: "certificate",
      clientKey: "key",
    };
    const machineSecrets: talos.types.input.machine.MachineSecrets = {
      certs: {
        etcd: { cert: "c", key: "k" },
        k8s: { cert: "c", key: "k" },
        k8sAggregator: { cert: "c", key: "k" },
        k8sServiceaccount: { key: "k" },
        os: { cert: "c", key: "k" },
      },
      cluster: { id: "id", secret: "secret" },
      secrets: { bootstrapToken: "token", secretboxEncryptionSecret: "secret" },
      trustdinfo: { token: "token" },
    };
    const recorded = await recordRequests({
      state: { clientConfiguration, machineSecrets },
      result: { machineConfiguration: pulumi.secret("machine: {}") },
    });
    const secrets = new talos.machine.Secrets("cluster", { talosVersion: "v1.13" });
    const configuration = talos.machine.getConfigurationOutput({
      clusterName: "prod",
      clusterEndpoint: "https://10.0.0.10:6443",
      machineType: "worker",
      machineSecrets: secrets.machineSecrets,
      configPatches: [pulumi.interpolate`# ${secrets.talosVersion}`],
    });
    const apply = new talos.machine.ConfigurationApply("worker", {
      node: "10.0.0.21",
      clientConfiguration: secrets.clientConfiguration,
      machineConfigurationInput: configuration.machineConfiguration,
      onDestroy: { reset: true },
    });
    await valueOf(apply.urn);
    const { properties } = recorded.find(({ token }) => token.includes("configurationApply")) ?? {};
    expect(properties).toEqual({
      node: "10.0.0.21",
      clientConfiguration,
      machineConfigurationInput: wireSecret("machine: {}"),
      onDestroy: { reset: true },
    });
    expect(recorded.find(({ method }) => method === "invoke")?.properties.machineSecrets).toEqual(
      machineSecrets,
    );
  });
});
