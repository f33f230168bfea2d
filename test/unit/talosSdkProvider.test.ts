import * as pulumi from "@pulumi/pulumi";
import { getResourcePackage } from "@pulumi/pulumi/runtime/rpc.js";
import * as talos from "@pulumiverse/talos";
import { describe, expect, it } from "vitest";
import { expectPlugin } from "./talosSdk/expectPlugin.ts";
import { only, recordRequests, valueOf, wireSecret } from "./talosSdk/recorder.ts";
import { samples, schema, schemaVersion } from "./talosSdk/schema.ts";

describe("the provider of the Talos SDK", () => {
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

  it("is recognized by isInstance, and can be rebuilt from a reference", async () => {
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

  it("serves the resources and functions that use it", async () => {
    const recorded = await recordRequests({});
    const provider = new talos.Provider("it");
    const id = `${await valueOf(provider.urn)}::it-id`;
    await valueOf(new talos.machine.Secrets("secrets", {}, { provider }).urn);
    await valueOf(talos.imagefactory.getVersionsOutput({}, { provider }));
    expect(recorded.slice(1).map(({ request }) => request.provider)).toEqual([id, id]);
  });

  it("returns its settings under their Terraform names", async () => {
    const result = { result: { image_factory_url: "http://127.0.0.1" } };
    const recorded = await recordRequests({ result });
    const provider = new talos.Provider("it");
    expect(await valueOf(provider.terraformConfig())).toEqual(result);
    const call = recorded.find(({ method }) => method === "call");
    expect(call?.token).toBe(schema.provider.methods.terraformConfig);
    expect(Object.keys(call?.properties ?? {})).toEqual(["__self__"]);
  });

  it("reads the stack's configuration on demand", () => {
    for (const name of Object.keys(schema.config.variables)) {
      const config = talos.config as Record<string, unknown>;
      expect(config[name]).toBeUndefined();
      pulumi.runtime.setConfig(`talos:${name}`, "http://127.0.0.1:8080");
      expect(config[name]).toBe("http://127.0.0.1:8080");
    }
  });
});

describe("a program with the Talos SDK", () => {
  it("can pass one resource's outputs to the next, as the types allow", async () => {
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
