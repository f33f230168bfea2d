import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { FactoryServer } from "../../lab/factory/server.ts";
import { containsSecret, isObject, revealAll, Secret, unknown } from "../../lab/plugins/values.ts";
import type { Properties, PropertyValue } from "../../lab/plugins/values.ts";
import { resolveTools } from "../../tools/resolve.ts";
import { PluginClient } from "./pluginClient.ts";

const SECRETS = "talos:machine/secrets:Secrets";
const APPLY = "talos:machine/configurationApply:ConfigurationApply";
const KUBECONFIG = "talos:cluster/kubeconfig:Kubeconfig";
const SCHEMATIC = "talos:imageFactory/schematic:Schematic";
const getConfiguration = "talos:machine/getConfiguration:getConfiguration";

// The first guide's two patches (for the JovianDSS CSI plugin).
const SECURITY_PATCH = `cluster:
  apiServer:
    admissionControl:
      - name: PodSecurity
        configuration:
          exemptions:
            namespaces:
              - joviandss-csi
`;
const MODULE_PATCH = `machine:
    install:
        extraKernelArgs:
            - iscsi_tcp=1
    kernel:
        # Kernel modules to load.
        modules:
            - name: iscsi_tcp # Module name.
`;

let plugin: PluginClient;
let temporary: string;
let records: string;
let secrets: { id: string; state: Properties };
const factory = new FactoryServer({ host: "127.47.0.2" });

beforeAll(async () => {
  const { talosctl } = await resolveTools(["talosctl"]);
  // The plugin's temporary files go here, so tests can see what is left of them.
  temporary = await mkdtemp(join(tmpdir(), "stand-in-"));
  records = await mkdtemp(join(tmpdir(), "stand-in-records-"));
  await factory.start();
  plugin = await PluginClient.start(
    join(import.meta.dirname, "../../lab/plugins/talos/pulumi-resource-talos"),
    [],
    {
      ...process.env,
      TALOS_ISCSI_TALOSCTL: await recording(talosctl),
      TMPDIR: temporary,
    },
  );
  await plugin.configure({ imageFactoryUrl: factory.url });
  secrets = await plugin.create(SECRETS, { talosVersion: "v1.12" });
}, 1_200_000);

afterAll(async () => {
  await plugin.stop();
  await factory.stop();
  await rm(temporary, { recursive: true });
  await rm(records, { recursive: true });
});

/** A program that runs talosctl and records its command lines. */
async function recording(talosctl: string): Promise<string> {
  const path = join(records, "talosctl.mjs");
  const log = JSON.stringify(join(records, "arguments"));
  const program = `#!${process.execPath}
import { appendFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
appendFileSync(${log}, process.argv.slice(2).join(" ") + "\\n");
process.exit(spawnSync(${JSON.stringify(talosctl)}, process.argv.slice(2), { stdio: "inherit" }).status ?? 1);
`;
  await writeFile(path, program, { mode: 0o700 });
  return path;
}

function at(value: unknown, ...path: (string | number)[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (inner as Record<string | number, unknown> | undefined)?.[key],
    value,
  );
}

async function configuration(args: Properties): Promise<string> {
  const { result, failures } = await plugin.invoke(getConfiguration, {
    clusterName: "dev",
    clusterEndpoint: "https://127.47.0.10:6443",
    machineType: "controlplane",
    machineSecrets: secrets.state["machineSecrets"],
    talosVersion: "v1.12",
    kubernetesVersion: "v1.35.4",
    ...args,
  });
  expect(failures).toEqual({});
  expect(result["machineConfiguration"]).toBeInstanceOf(Secret);
  return revealAll(result)["machineConfiguration"] as string;
}

/** Every string that would be stored in plain text. */
function plainStrings(value: PropertyValue | undefined): string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.flatMap(plainStrings);
  return isObject(value) ? Object.values(value).flatMap(plainStrings) : [];
}

describe("Secrets", () => {
  it("creates a bundle and an admin certificate for it", () => {
    const state = revealAll(secrets.state);
    expect(secrets.id).toBe("machine_secrets");
    expect(state["talosVersion"]).toBe("v1.12");
    const decode = (encoded: unknown) => Buffer.from(String(encoded), "base64");
    const ca = new X509Certificate(decode(at(state, "machineSecrets", "certs", "os", "cert")));
    const client = new X509Certificate(decode(at(state, "clientConfiguration", "clientCertificate")));
    expect(client.checkIssued(ca)).toBe(true);
    expect(client.subject).toContain("os:admin");
    expect(at(state, "clientConfiguration", "caCertificate")).toBe(
      at(state, "machineSecrets", "certs", "os", "cert"),
    );
  });

  it("marks every key, token and secret, but not certificates and the cluster's ID", () => {
    const open = plainStrings(secrets.state["machineSecrets"]).concat(
      plainStrings(secrets.state["clientConfiguration"]),
    );
    const pem = (encoded: string) => Buffer.from(encoded, "base64").toString("utf8");
    expect(open).toHaveLength(1 + 4 + 2);
    expect(open.filter((text) => pem(text).includes("BEGIN CERTIFICATE"))).toHaveLength(6);
    expect(containsSecret(secrets.state["clientConfiguration"])).toBe(true);
  });

  it("shows only the contract in a preview", async () => {
    const { state } = await plugin.create(SECRETS, {}, { preview: true });
    expect(state).toMatchObject({
      talosVersion: "v1.13",
      machineSecrets: unknown,
      clientConfiguration: unknown,
      id: unknown,
    });
  });

  it("outputs its ID, and stores its schema version in the state", () => {
    expect(secrets.state).toMatchObject({ id: "machine_secrets", __meta: '{"schema_version":"1"}' });
  });

  it("is updated in place to a newer contract with the same secrets, and replaced for an older one", async () => {
    const before = { inputs: { talosVersion: "v1.12" }, state: secrets.state };
    expect(await plugin.diff(SECRETS, before, { talosVersion: "v1.13" })).toEqual({
      changes: true,
      diffs: ["talosVersion"],
      detailed: {},
      replaces: [],
    });
    expect((await plugin.diff(SECRETS, before, { talosVersion: "v1.9" })).replaces).toEqual(["talosVersion"]);
    expect((await plugin.diff(SECRETS, before, before.inputs)).changes).toBe(false);
    const updated = await plugin.update(SECRETS, { id: secrets.id, ...before }, { talosVersion: "v1.13" });
    expect(revealAll(updated)).toEqual({ ...revealAll(secrets.state), talosVersion: "v1.13" });
  });

  it("runs talosctl: known difference", async () => {
    await writeFile(join(records, "arguments"), "");
    await configuration({});
    expect(await readFile(join(records, "arguments"), "utf8")).toContain("gen config dev");
  });

  it("supports what the program uses, and refuses the rest: known difference", async () => {
    await expect(plugin.invoke("talos:machine/getDisks:getDisks", {})).rejects.toThrow(
      /the stand-in of the talos plugin has no function talos:machine\/getDisks:getDisks/,
    );
    await expect(plugin.create("talos:machine/other:Other", {})).rejects.toThrow(
      /the stand-in of the talos plugin has no resource talos:machine\/other:Other/,
    );
  });

  it("imports the bundle of a running cluster", async () => {
    const bundle = join(temporary, "bundle.yaml");
    const { talosctl } = await resolveTools(["talosctl"]);
    execFileSync(talosctl, ["gen", "secrets", "--output-file", bundle], { stdio: "ignore" });
    const imported = await plugin.read(SECRETS, bundle);
    const yaml = parse(await readFile(bundle, "utf8")) as unknown;
    await rm(bundle);
    expect(imported.id).toBe("machine_secrets");
    expect(at(revealAll(imported.state), "machineSecrets", "trustdinfo", "token")).toBe(
      at(yaml, "trustdinfo", "token"),
    );
    expect(at(revealAll(imported.state), "machineSecrets", "certs", "k8sServiceaccount", "key")).toBe(
      at(yaml, "certs", "k8sserviceaccount", "key"),
    );
    await expect(plugin.read(SECRETS, "/nowhere/bundle.yaml")).rejects.toThrow(
      /path of a secrets bundle.*ENOENT/,
    );
  });

  it("does not quote a bundle that it cannot read", async () => {
    const file = join(temporary, "broken.yaml");
    await writeFile(file, "cluster: {id: hunter2\nsecret: [");
    await expect(plugin.read(SECRETS, file)).rejects.toSatisfy(
      (error: Error) => error.message.includes("is not YAML") && !error.message.includes("hunter2"),
    );
    await rm(file);
  });
});

describe("getConfiguration", () => {
  it("adds the first guide's exemption after the existing one", async () => {
    const yaml = await configuration({ configPatches: [SECURITY_PATCH] });
    const [machine] = parseAllDocuments(yaml).map((document) => document.toJS() as unknown);
    const plugins = at(machine, "cluster", "apiServer", "admissionControl", 0);
    expect(at(plugins, "configuration", "exemptions", "namespaces")).toEqual([
      "kube-system",
      "joviandss-csi",
    ]);
    expect(at(plugins, "configuration", "defaults", "enforce")).toBe("baseline");
  });

  it("gives a worker of Talos 1.6 the module and the kernel argument", async () => {
    const yaml = await configuration({
      machineType: "worker",
      talosVersion: "v1.6.7",
      configPatches: [MODULE_PATCH],
    });
    const machine = parse(yaml) as unknown;
    expect(at(machine, "machine", "type")).toBe("worker");
    expect(at(machine, "machine", "install", "extraKernelArgs")).toEqual(["iscsi_tcp=1"]);
    expect(at(machine, "machine", "kernel", "modules")).toEqual([{ name: "iscsi_tcp" }]);
    expect(yaml).not.toContain("#");
  });

  it("gives the same YAML for the same arguments", async () => {
    expect(await configuration({})).toBe(await configuration({}));
  });

  it("uses the installer of the provider's own release unless a patch sets the image", async () => {
    const machine = parseAllDocuments(await configuration({}))[0]?.toJS() as unknown;
    expect(at(machine, "machine", "install", "image")).toBe("ghcr.io/siderolabs/installer:v1.13.0");
    expect(at(machine, "cluster", "apiServer", "image")).toMatch(/:v1\.35\.4$/);
  });

  it("names the wrong argument", async () => {
    const { failures } = await plugin.invoke(getConfiguration, {
      machineType: "master",
      clusterEndpoint: "http://a:6443",
    });
    expect(Object.keys(failures).sort()).toEqual([
      "clusterEndpoint",
      "clusterName",
      "machineSecrets",
      "machineType",
    ]);
  });

  it("reports talosctl's error for a patch, without the secrets around it", async () => {
    const error = await configuration({ configPatches: ["machine:\n  nonsense: true\n"] }).catch(
      (caught: unknown) => caught,
    );
    expect(String(error)).toContain("nonsense");
    const token = at(revealAll(secrets.state), "machineSecrets", "trustdinfo", "token");
    expect(String(error)).not.toContain(String(token));
    expect(String(error)).not.toContain(temporary);
  });
});

describe("client/getConfiguration", () => {
  it("returns a talosconfig, marked as secret", async () => {
    const { result } = await plugin.invoke("talos:client/getConfiguration:getConfiguration", {
      clusterName: "dev",
      clientConfiguration: secrets.state["clientConfiguration"],
      endpoints: ["127.47.0.11"],
      nodes: ["127.47.0.11", "127.47.0.21"],
    });
    expect(result["talosConfig"]).toBeInstanceOf(Secret);
    const talosconfig = parse(revealAll(result)["talosConfig"] as string) as unknown;
    expect(at(talosconfig, "context")).toBe("dev");
    expect(at(talosconfig, "contexts", "dev", "endpoints")).toEqual(["127.47.0.11"]);
    expect(at(talosconfig, "contexts", "dev", "nodes")).toEqual(["127.47.0.11", "127.47.0.21"]);
    expect(at(talosconfig, "contexts", "dev", "ca")).toBe(
      at(revealAll(secrets.state), "clientConfiguration", "caCertificate"),
    );
  });
});

describe("ConfigurationApply", () => {
  const state = { node: "127.47.0.99", applyMode: "staged_if_needing_reboot" };

  it("is read and deleted without a machine, for states of 0.1.0, and cannot be created", async () => {
    expect(await plugin.read(APPLY, "machine_configuration_apply", { inputs: state, state })).toMatchObject({
      id: "machine_configuration_apply",
      state,
    });
    await plugin.delete(APPLY, "machine_configuration_apply", state, state);
    await expect(plugin.create(APPLY, state)).rejects.toThrow(/NodeConfiguration/);
    const resets = { ...state, onDestroy: { reset: true } };
    await expect(plugin.delete(APPLY, "machine_configuration_apply", resets, resets)).rejects.toThrow(
      /onDestroy/,
    );
  });
});

describe("the image factory", () => {
  const iscsi = "customization:\n  systemExtensions:\n    officialExtensions: [siderolabs/iscsi-tools]\n";
  const ISCSI = "c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac";

  it("registers a schematic and uses its ID for the resource, but not in a preview", async () => {
    await plugin.create(SCHEMATIC, { schematic: iscsi }, { preview: true });
    expect(factory.knows(ISCSI)).toBe(false);
    expect((await plugin.create(SCHEMATIC, { schematic: iscsi })).id).toBe(ISCSI);
    expect(factory.knows(ISCSI)).toBe(true);
  });

  it("drops what the published provider drops, so the ID differs", async () => {
    const vanilla = (await plugin.create(SCHEMATIC, {})).id;
    expect(
      (await plugin.create(SCHEMATIC, { schematic: "customization: {diskImage: {sectorSize: 4096}}" })).id,
    ).toBe(vanilla);
  });

  it("reports the factory's error for a schematic", async () => {
    const wrong = { schematic: "customization: {extraKernelArgs: noapic}" };
    await expect(plugin.create(SCHEMATIC, wrong)).rejects.toThrow(
      /invalid schematic: HTTP 400: .*extraKernelArgs/,
    );
    factory.faults.failWith = 500;
    await expect(plugin.create(SCHEMATIC, { schematic: iscsi })).rejects.toThrow(/HTTP 500/);
    delete factory.faults.failWith;
  });

  it("returns versions, extensions and references", async () => {
    const module = "talos:imageFactory";
    const versions = await plugin.invoke(`${module}/getVersions:getVersions`, {
      filters: { stableVersionsOnly: true },
    });
    expect(versions.result["talosVersions"]).toContain("v1.13.9");
    expect(versions.result["talosVersions"]).not.toContain("v1.14.0-rc.1");
    const extensions = await plugin.invoke(`${module}/getExtensionsVersions:getExtensionsVersions`, {
      talosVersion: "v1.13.9",
      exactFilters: { names: ["siderolabs/iscsi-tools"] },
    });
    expect(at(extensions.result, "extensionsInfos", 0, "ref")).toBe("ghcr.io/siderolabs/iscsi-tools:v0.2.0");
    expect(extensions.result["extensionsInfos"]).toHaveLength(1);
    const urls = await plugin.invoke(`${module}/getUrls:getUrls`, {
      talosVersion: "v1.13.9",
      schematicId: ISCSI,
      platform: "metal",
    });
    const host = factory.url.replace("http://", "");
    expect(at(urls.result, "urls", "installer")).toBe(`${host}/metal-installer/${ISCSI}:v1.13.9`);
  });
});

describe("what other users of the machine can see", () => {
  it("no temporary file: all are removed, and were in a folder that only the owner can read", async () => {
    expect(await readdir(temporary)).toEqual([]);
    const modes: number[] = [];
    const look = setInterval(() => {
      for (const folder of readdirSync(temporary)) {
        modes.push((statSync(join(temporary, folder), { throwIfNoEntry: false })?.mode ?? 0o700) & 0o777);
      }
    }, 1);
    await configuration({});
    clearInterval(look);
    expect(new Set(modes)).toEqual(new Set([0o700]));
  });

  it("no file of a killed plugin: the next one removes it", async () => {
    const executable = join(import.meta.dirname, "../../lab/plugins/talos/pulumi-resource-talos");
    const { talosctl } = await resolveTools(["talosctl"]);
    const env = {
      ...process.env,
      TALOS_ISCSI_TALOSCTL: talosctl,
      TMPDIR: await mkdtemp(join(tmpdir(), "stand-in-")),
    };
    const killed = await PluginClient.start(executable, [], env);
    const interrupted = expect(
      killed.create(KUBECONFIG, {
        node: "127.47.0.98",
        clientConfiguration: secrets.state["clientConfiguration"],
      }),
    ).rejects.toThrow();
    await expect.poll(() => readdirSync(env.TMPDIR)).toHaveLength(1);
    await killed.stop();
    await interrupted;
    expect(readdirSync(env.TMPDIR)).toHaveLength(1);
    const next = await PluginClient.start(executable, [], env);
    await next.create(SECRETS, {});
    expect(readdirSync(env.TMPDIR)).toEqual([]);
    await next.stop();
    await rm(env.TMPDIR, { recursive: true });
  });

  it("no secret on a command line", async () => {
    const commandLines = await readFile(join(records, "arguments"), "utf8");
    expect(commandLines).toContain("gen config dev");
    const { machineSecrets, clientConfiguration } = secrets.state;
    const open = new Set([machineSecrets, clientConfiguration].flatMap(plainStrings));
    const hidden = Object.values(revealAll({ machineSecrets, clientConfiguration }))
      .flatMap(plainStrings)
      .filter((text) => !open.has(text));
    expect(hidden.length).toBeGreaterThanOrEqual(10);
    expect(hidden.filter((text) => commandLines.includes(text))).toEqual([]);
  });
});
