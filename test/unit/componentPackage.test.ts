import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { constructCluster } from "../../plugin/construct.ts";
import { clusterPackageSpec } from "../../plugin/schema.ts";
import { nodeParts } from "../../provider/nodeSchema.ts";
import { settingsKeys } from "../../tools/settings/keys.ts";
import { providers } from "./components/program.ts";
import { isSecret, ofType, onlyResource, record } from "./components/recorder.ts";
import { canary, withValues, leaksSecret, usualSettings } from "./settings/example.ts";

const token = "talos-iscsi:index:IscsiCluster";
const spec = clusterPackageSpec("1.2.3", "github://api.github.com/acme/talos-iscsi");
const cluster = spec.resources[token];

const joviandss = (password: unknown) => ({
  image: "docker.io/opene/joviandss-csi:v1.0",
  endpoint: { addresses: ["192.168.0.100"], user: "admin", password },
  iscsi: { addresses: ["192.168.0.100"] },
  pools: [{ name: "Pool-0" }],
});

const constructed = (inputs: pulumi.Inputs, server?: string) =>
  record(async () => {
    const { state } = await constructCluster(["prod", token, inputs, {}], "1.2.3", server);
    return state as { kubeconfig: pulumi.Output<string> };
  }, providers);

describe("the schema of the component package", () => {
  it("has every setting as an input, with its description", () => {
    const inputs = cluster?.inputProperties ?? {};
    expect(Object.keys(inputs)).toEqual(settingsKeys().map(({ name }) => name));
    for (const { name, description } of settingsKeys())
      expect(inputs[name]?.description).toContain(description);
    expect(cluster?.requiredInputs).toEqual(["talosVersion", "cluster"]);
  });

  it("has defaults, choices and requirements", () => {
    expect(spec.types["talos-iscsi:index:Image"]?.properties["factory"]?.default).toBe(
      "https://factory.talos.dev",
    );
    expect(spec.types["talos-iscsi:index:ClusterNode"]?.properties["role"]?.description).toContain(
      "One of `controlplane`, `worker`.",
    );
    expect(spec.types["talos-iscsi:index:ClusterNode"]?.required).toEqual(["name", "address", "role"]);
    expect(spec.types["talos-iscsi:index:JoviandssIscsiadm"]?.properties["strategy"]?.description).toContain(
      "`chroot`, `nsenter`",
    );
  });

  it("has the resources of talos-node, under names that are unique in the package", () => {
    expect(spec.allowedPackageNames).toEqual(["talos-node"]);
    expect(Object.keys(spec.resources)).toEqual([token, ...Object.keys(nodeParts.resources)]);
    // SDKs put all of them in one module.
    const names = Object.keys({ ...spec.types, ...spec.resources }).map((name) => name.split(":").at(-1));
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  it("refers only to types that it has", () => {
    const refs = [...JSON.stringify(spec).matchAll(/"#\/types\/([^"]+)"/g)].map(([, name = ""]) => name);
    expect(refs.length).toBeGreaterThan(30);
    expect(refs.filter((name) => spec.types[name] === undefined)).toEqual([]);
  });

  it("has the outputs of the component", () => {
    const source = readFileSync(join(import.meta.dirname, "../../components/iscsiCluster.ts"), "utf8");
    const members = /export interface IscsiClusterOutputs \{\n([\s\S]*?)^\}/m.exec(source)?.[1] ?? "";
    const names = [...members.matchAll(/^ {2}(\w+)\??:/gm)].map(([, name = ""]) => name);
    expect(Object.keys(cluster?.properties ?? {})).toEqual(names);
  });
});

describe("construct", () => {
  it("declares the cluster, and keeps a secret section secret", async () => {
    const inputs = { ...usualSettings(), joviandss: pulumi.secret(joviandss(canary)) };
    const { resources, result } = await constructed(inputs);
    expect(ofType(resources, "talos-node:index:NodeUpgrade")).toHaveLength(5);
    expect(onlyResource(resources, "talos-iscsi:index:FactoryImage").parent).toBe(`${token}::prod`);
    const plain = ofType(resources, "kubernetes:core/v1:Secret").length;
    expect(plain).toBeGreaterThan(0);
    expect(
      leaksSecret(JSON.stringify(resources, (_, value: unknown) => (isMarked(value) ? "[secret]" : value))),
    ).toBe(false);
    expect(await isSecret(result.kubeconfig)).toBe(true);
  });

  it("creates the cluster of the page's YAML program", async () => {
    const page = readFileSync(join(import.meta.dirname, "../../docs/use-as-a-library.md"), "utf8");
    const [, text = ""] = /^```yaml\n([\s\S]*?)```/m.exec(page) ?? [];
    const { resources } = parse(text.replace('"${password}"', canary)) as {
      resources: Record<string, { type: string; properties: pulumi.Inputs }>;
    };
    expect(resources["cluster"]?.type).toBe("talos-iscsi:IscsiCluster");
    const made = (await constructed(resources["cluster"]?.properties ?? {})).resources;
    expect(onlyResource(made, "talos-node:index:NodeUpgrade").inputs["node"]).toBe("10.0.0.11");
    expect(ofType(made, "talos-iscsi:index:JovianDssCsi")).toHaveLength(1);
  });

  it("reports every mistake at its path, as an error of the inputs", async () => {
    const inputs = withValues(usualSettings(), { talosVersion: "v1.99.0", "cluster.endpoint": "10.0.0.10" });
    const error: unknown = await constructed(inputs).catch((thrown: unknown) => thrown);
    expect(pulumi.InputPropertiesError.isInstance(error)).toBe(true);
    const { errors = [] } = error as pulumi.InputPropertiesError;
    expect(errors.map(({ propertyPath }) => propertyPath).sort()).toEqual([
      "cluster.endpoint",
      "talosVersion",
    ]);
  });

  it.each<[string, (later: pulumi.Output<unknown>) => pulumi.Inputs, string[]]>([
    ["a section", (later) => ({ ...usualSettings(), cluster: later }), ["cluster"]],
    [
      "values, each at its path",
      (later) => ({
        ...usualSettings(),
        cluster: { ...(usualSettings()["cluster"] as object), name: later },
        joviandss: joviandss(pulumi.secret(later)),
      }),
      ["cluster.name", "joviandss.endpoint.password"],
    ],
  ])("refuses %s that the preview does not know yet", async (_what, inputs, paths) => {
    const unknown = await record(
      () => constructCluster(["prod", token, inputs(notKnown()), {}], "1.2.3", undefined),
      { ...providers, preview: true },
    ).catch((thrown: unknown) => thrown);
    const { errors = [] } = unknown as pulumi.InputPropertiesError;
    expect(errors.map(({ propertyPath }) => propertyPath)).toEqual(paths);
  });

  it("hides a secret value, and leaves its neighbors readable", async () => {
    const beside = {
      ...joviandss(pulumi.secret(canary)),
      controller: { replicas: 3 },
      pools: [{ name: "Pool-0", storageClasses: [{ name: "fast", fsType: "xfs" }] }],
    };
    const plain = { ...beside, endpoint: { ...beside.endpoint, password: canary } };
    const hidden = async (given: unknown) => {
      const { resources } = await constructed({ ...usualSettings(), joviandss: given });
      return ofType(resources, "kubernetes:apps/v1:Deployment").concat(
        ofType(resources, "kubernetes:storage.k8s.io/v1:StorageClass"),
      );
    };
    const shown = await hidden(beside);
    expect(shown.length).toBeGreaterThan(1);
    expect(leaksSecret(JSON.stringify(shown))).toBe(false);
    expect(shown.map(({ inputs }) => inputs)).toEqual((await hidden(plain)).map(({ inputs }) => inputs));
  });

  it("creates two clusters at once that share nothing", async () => {
    const other = withValues(usualSettings(), {
      "cluster.name": "other",
      "cluster.endpoint": "https://10.1.0.10:6443",
    });
    const both = Object.entries({ first: usualSettings(), second: other });
    const { resources } = await record(
      () =>
        Promise.all(
          both.map(([name, inputs]) =>
            constructCluster(
              [name, token, { ...inputs, joviandss: joviandss(pulumi.secret(canary)) }, {}],
              "1.2.3",
              undefined,
            ),
          ),
        ),
      providers,
    );
    const urns = resources.map(({ parent, type, name }) => `${parent} ${type} ${name}`);
    expect(urns.filter((urn, index) => urns.indexOf(urn) !== index)).toEqual([]);
    for (const [name] of both) {
      const own = resources.filter(
        (resource) => resource.name === name || resource.name.startsWith(`${name}-`),
      );
      expect(own).toHaveLength(resources.filter(({ type }) => type !== "pulumi:pulumi:Stack").length / 2);
      expect(own.flatMap(({ after }) => after).filter((needed) => !needed.startsWith(`${name}-`))).toEqual(
        [],
      );
    }
  });

  it("refuses an unknown component", async () => {
    await expect(
      constructCluster(["a", "talos-iscsi:index:Other", {}, {}], "1.2.3", undefined),
    ).rejects.toThrow(/no component/);
  });
});

/** The recorder writes a secret as `{ secret: … }`. */
function isMarked(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).join() === "secret";
}

/** A value that is known only after its resource exists. */
function notKnown(): pulumi.Output<unknown> {
  const resource = new (class extends pulumi.CustomResource {
    declare readonly later: pulumi.Output<unknown>;
  })("test:index:Later", "later", { later: undefined });
  return resource.later;
}
