import { execFile } from "node:child_process";
import { createReadStream, existsSync, statSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parse, stringify } from "yaml";
import { plugins, readManifest } from "../../tools/package/build.ts";
import { compilerFlags } from "../../tools/goBuild.ts";
import { resolveTools } from "../../tools/resolve.ts";

/** The packages as others get them: by SDKs that the real CLI has generated, and from a release on a server. No cluster: a preview is as far as it goes. */

const root = join(import.meta.dirname, "..", "..");
const { version } = readManifest(join(root, "package.json"));
const token = "talos-node:index:NodeUpgrade";
/** What a NodeUpgrade needs, for a preview. */
const node = {
  ...{ name: "w1", node: "10.0.0.21", role: "worker", talosVersion: "v1.13.9" },
  ...{ schematicId: "c9".repeat(32), image: `factory.talos.dev/metal-installer/${"c9".repeat(32)}:v1.13.9` },
  ...{ controlPlanes: ["10.0.0.11"], drain: { enabled: false } },
  clientConfiguration: { caCertificate: "Y2E=", clientCertificate: "Y3J0", clientKey: "a2V5" },
};

/** As in the program of `pulumi new typescript`. */
const template = { strict: true, target: "es2020", module: "commonjs", moduleResolution: "node" };

let work: string;
let cli: string;
let path: string[];
/** Folder of the Kubernetes plugin. */
let kubernetes: string;

vi.setConfig({ testTimeout: 600_000, hookTimeout: 1_800_000 });

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "talos-iscsi-packages-"));
  const hostNames = ["pulumi-language-yaml", "pulumi-language-codegen"] as const;
  const tools = await resolveTools(["pulumi", ...hostNames, "pulumi-resource-kubernetes"]);
  cli = tools.pulumi;
  const hosts = join(work, "hosts");
  await mkdir(hosts);
  for (const language of ["go", "nodejs", "python"])
    await symlink(tools["pulumi-language-codegen"], join(hosts, `pulumi-language-${language}`));
  path = [hosts, dirname(tools["pulumi-language-yaml"])];
  kubernetes = dirname(tools["pulumi-resource-kubernetes"]);
});

afterAll(() => rm(work, { recursive: true, force: true }));

interface Finished {
  code: unknown;
  text: string;
  stdout: string;
}

function run(file: string, args: string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  return new Promise((resolve) => {
    const options = { cwd, env: { ...process.env, ...env }, maxBuffer: 1e8 };
    execFile(file, args, options, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, text: stdout + stderr, stdout }),
    );
  });
}

/** The real CLI in a folder, on a state of its own, with nothing but these folders on PATH before the system's. */
function pulumi(cwd: string, folders: string[], args: string[], env: NodeJS.ProcessEnv = {}) {
  return run(cli, [...args, "--non-interactive"], cwd, {
    PATH: [dirname(cli), ...folders, dirname(process.execPath), process.env["PATH"]].join(delimiter),
    PULUMI_HOME: join(work, "home"),
    PULUMI_BACKEND_URL: pathToFileURL(work).href,
    PULUMI_CONFIG_PASSPHRASE: "packages",
    PULUMI_SKIP_UPDATE_CHECK: "true",
    NO_COLOR: "1",
    ...env,
  });
}

async function project(name: string, files: Record<string, string>): Promise<string> {
  const folder = join(work, name);
  await mkdir(folder, { recursive: true });
  for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text);
  return folder;
}

/** Previews a stack of it. */
async function preview(
  folder: string,
  folders: string[],
  env: NodeJS.ProcessEnv = {},
  secrets: Record<string, string> = {},
): Promise<Finished> {
  const before = [
    ["stack", "init", `s${Date.now()}`],
    ...Object.entries(secrets).map(([key, value]) => ["config", "set", "--secret", key, value]),
  ];
  for (const command of before) {
    const made = await pulumi(folder, folders, command, env);
    expect(made.code, made.text).toBe(0);
  }
  return pulumi(folder, folders, ["preview", "--json"], env);
}

interface PreviewedResource {
  type: string;
  inputs: Record<string, unknown>;
}

/** What a preview would make. */
function resourcesIn({ code, text, stdout }: Finished): PreviewedResource[] {
  expect(code, text).toBe(0);
  const { steps } = JSON.parse(stdout) as { steps: { newState?: PreviewedResource }[] };
  return steps.flatMap(({ newState }) => newState ?? []);
}

const typesIn = (finished: Finished): string[] => resourcesIn(finished).map(({ type }) => type);

/** Settings of a cluster with a driver. */
const settingsWith = (password: unknown) => ({
  talosVersion: "v1.13.9",
  cluster: {
    ...{ name: "edge", endpoint: "https://10.0.0.10:6443" },
    nodes: [{ name: "cp1", address: "10.0.0.11", role: "controlplane" }],
  },
  joviandss: {
    image: "docker.io/opene/joviandss-csi:v1.0",
    endpoint: { addresses: ["192.168.0.100"], user: "admin", password },
    iscsi: { addresses: ["192.168.0.100"] },
    pools: [{ name: "Pool-0", storageClasses: [{ name: "fast", fsType: "xfs" }] }],
  },
});

const executable = (name: string): string =>
  join(root, name === "talos-node" ? "provider" : "plugin", `pulumi-resource-${name}`);

describe.each(["talos-iscsi", "talos-node"])("SDKs of %s", (name) => {
  const generated = async (language: string): Promise<string> => {
    const out = join(work, `sdks-${name}`);
    await mkdir(out, { recursive: true });
    const args = ["package", "gen-sdk", executable(name), "--language", language, "--out", out];
    const { code, text } = await pulumi(work, path, args);
    expect(code, text).toBe(0);
    return join(out, language);
  };

  it("for Node.js compile", async () => {
    const folder = await generated("nodejs");
    await symlink(join(root, "node_modules"), join(folder, "node_modules"));
    const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
    const options = ["--ignoreDeprecations", "6.0", "--types", "node"];
    const compiled = await run(process.execPath, [tsc, "-p", ".", "--noEmit", ...options], folder);
    expect(compiled.code, compiled.text).toBe(0);
    expect(await readFile(join(folder, "nodeUpgrade.ts"), "utf8")).toContain(token);
  });

  it("for Go compile", async () => {
    const folder = await generated("go");
    const modules = await readFile(join(root, "tools", "codegen", "go.mod"), "utf8");
    const own = `module example.com/pulumi-${name}/sdk/go`;
    await writeFile(join(folder, "go.mod"), modules.replace(/^module .*/, own));
    await cp(join(root, "tools", "codegen", "go.sum"), join(folder, "go.sum"));
    // As the tools were built, so that Pulumi's own packages come from Go's cache.
    const flags = ["-trimpath", ...compilerFlags];
    const built = await run("go", ["build", "-mod=mod", ...flags, "./..."], folder, { GOTOOLCHAIN: "local" });
    expect(built.code, built.text).toBe(0);
  });

  it("for Python are Python", async () => {
    const folder = await generated("python");
    const compiled = await run("python3", ["-m", "compileall", "-q", folder], work);
    expect(compiled.code, compiled.text).toBe(0);
    expect(existsSync(join(folder, `pulumi_${name.replace("-", "_")}`, "node_upgrade.py"))).toBe(true);
  });
});

describe("pulumi package add", () => {
  it("gives a program an SDK of the plugin, whose resources the engine makes", async () => {
    const folder = await project("added", {
      "Pulumi.yaml": stringify({ name: "added", runtime: "nodejs" }),
      "package.json": JSON.stringify({ name: "added", main: "index.ts" }),
      "tsconfig.json": JSON.stringify({
        // A newer compiler than the template's asks for it.
        compilerOptions: { ...template, ignoreDeprecations: "6.0" },
        files: ["index.ts"],
      }),
      "index.ts": `import { NodeUpgrade } from "@pulumi/talos-node";\nnew NodeUpgrade("w1", ${JSON.stringify(node)});\n`,
    });
    const added = await pulumi(folder, path, ["package", "add", executable("talos-node")]);
    expect(added.code, added.text).toBe(0);
    const { packages } = parse(await readFile(join(folder, "Pulumi.yaml"), "utf8")) as { packages: object };
    expect(Object.keys(packages)).toEqual(["talos-node"]);
    // What the language host does then: it compiles the SDK and makes it a dependency.
    const sdk = join(folder, "sdks", "talos-node");
    await mkdir(join(folder, "node_modules", "@pulumi"), { recursive: true });
    for (const name of ["@pulumi/pulumi", "@types", "@grpc", "google-protobuf", "typescript"])
      await symlink(join(root, "node_modules", name), join(folder, "node_modules", name));
    await symlink(sdk, join(folder, "node_modules", "@pulumi", "talos-node"));
    const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
    const options = ["--ignoreDeprecations", "6.0", "--types", "node"];
    const compiled = await run(process.execPath, [tsc, "-p", ".", ...options], sdk);
    expect(compiled.code, compiled.text).toBe(0);
    await cp(join(sdk, "package.json"), join(sdk, "bin", "package.json"));
    const host = join(root, "test", "lab", "languageHost");
    const seen = await preview(folder, [host, dirname(executable("talos-node"))]);
    expect(typesIn(seen)).toContain(token);
  });
});

describe("a release on a server", () => {
  let server: Server;
  let url: string;
  let out: string;
  const asked: string[] = [];

  beforeAll(async () => {
    out = join(work, "release");
    server = createServer((request, response) => {
      const name = basename(request.url ?? "");
      asked.push(name);
      const file = join(out, name);
      if (!existsSync(file)) return void response.writeHead(404).end();
      // The engine compares what comes with what was to come.
      response.setHeader("content-length", statSync(file).size);
      createReadStream(file).pipe(response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const args = [join(root, "tools", "package", "cli.ts"), "--out", out, "--server", url];
    const made = await run(process.execPath, args, root);
    expect(made.code, made.text).toBe(0);
  });
  afterAll(() => server.close());

  const archive = (name: string): RegExp =>
    new RegExp(`^pulumi-resource-${name}-v[\\d.]+-\\w+-\\w+\\.tar\\.gz$`);

  it("has the plugin for a program of Pulumi's own template that installs the npm package", async () => {
    const folder = await project("shop", {
      "Pulumi.yaml": stringify({ name: "shop", runtime: "nodejs" }),
      "package.json": JSON.stringify({
        ...{ name: "shop", main: "index.ts" },
        devDependencies: { "@types/node": "22.20.7", typescript: "5.9.3" },
      }),
      "tsconfig.json": JSON.stringify({
        compilerOptions: template,
        files: ["index.ts"],
      }),
      "index.ts": `import { NodeUpgrade } from "talos-iscsi";\nexport const { urn } = new NodeUpgrade("w1", ${JSON.stringify(node)});\n`,
    });
    const npm = [
      "install",
      "--no-audit",
      "--no-fund",
      "--prefer-offline",
      join(out, `talos-iscsi-${version}.tgz`),
    ];
    const installed = await run("npm", npm, folder);
    expect(installed.code, installed.text).toBe(0);
    const host = join(root, "test", "lab", "languageHost");
    const env = { PULUMI_HOME: join(work, "shop-home"), LANGUAGE_HOST_REPORTS: "talos-node" };
    const seen = await preview(folder, [host], env);
    expect(typesIn(seen)).toContain(token);
    expect(asked.filter((name) => archive("talos-node").test(name))).toHaveLength(1);
    // What the plugin refuses, and not the program, says that it is the plugin that answered.
    const index = join(folder, "index.ts");
    await writeFile(index, (await readFile(index, "utf8")).replace("10.0.0.21", "10.0.0.21:50000"));
    const refused = await pulumi(folder, [host], ["preview"], env);
    expect(refused.code).not.toBe(0);
    expect(refused.text).toContain("[node]");
  });

  it("works in a program with an older SDK of Pulumi, each with its own", async () => {
    const older = "3.200.0";
    const folder = await project("older", {
      "Pulumi.yaml": stringify({
        ...{ name: "older", runtime: { name: "nodejs", options: { typescript: false } } },
        config: { password: { type: "string", secret: true } },
      }),
      "package.json": JSON.stringify({
        ...{ name: "older", type: "module", main: "index.js" },
        dependencies: { "@pulumi/pulumi": older, "@pulumi/kubernetes": "4.34.2" },
        devDependencies: { "@types/node": "22.20.7", typescript: "5.9.3" },
      }),
      "tsconfig.json": JSON.stringify({
        compilerOptions: { strict: true, target: "es2022", module: "nodenext", skipLibCheck: true },
        files: ["index.ts"],
      }),
      "index.ts": `
import * as pulumi from "@pulumi/pulumi";
import { IscsiCluster, parseSettings } from "talos-iscsi";
const password = new pulumi.Config().require("password");
const settings = parseSettings(${JSON.stringify(settingsWith("it")).replace('"it"', "password")});
const edge = new IscsiCluster("edge", settings);
export const kubeconfig = pulumi.secret(edge.outputs.kubeconfig);
`,
    });
    const npm = ["install", "--no-audit", "--no-fund", "--prefer-offline"];
    const installed = await run("npm", [...npm, join(out, `talos-iscsi-${version}.tgz`)], folder);
    expect(installed.code, installed.text).toBe(0);
    const sdkOf = (...path: string[]): string =>
      readManifest(join(folder, "node_modules", ...path, "@pulumi", "pulumi", "package.json")).version;
    expect(sdkOf()).toBe(older);
    expect(sdkOf("talos-iscsi", "node_modules")).not.toBe(older);
    const tsc = join(folder, "node_modules", "typescript", "bin", "tsc");
    const compiled = await run(process.execPath, [tsc, "-p", "."], folder);
    expect(compiled.code, compiled.text).toBe(0);
    const host = join(root, "test", "lab", "languageHost");
    const plugins = [join(root, "lab", "plugins", "talos"), kubernetes, dirname(executable("talos-node"))];
    const seen = await preview(folder, [host, ...plugins], {}, { password: "of-the-array" });
    expect(typesIn(seen)).toEqual(
      expect.arrayContaining(["talos-iscsi:index:IscsiCluster", "kubernetes:apps/v1:DaemonSet", token]),
    );
    expect(seen.text).not.toContain("of-the-array");
  });

  it("has both plugins for a program in YAML that names the server", async () => {
    asked.length = 0;
    const options = { pluginDownloadURL: url, version };
    const program = (cluster: object, more: object = {}): string =>
      stringify({
        ...{ name: "edge", runtime: "yaml", config: { password: { type: "string", secret: true } } },
        resources: {
          ...more,
          cluster: { type: "talos-iscsi:IscsiCluster", properties: cluster, options },
        },
        outputs: { kubeconfig: "${cluster.kubeconfig}" },
      });
    const settings = settingsWith("${password}");
    const folder = await project("edge", { "Pulumi.yaml": program(settings) });
    const folders = [...path, join(root, "lab", "plugins", "talos"), kubernetes];
    const env = { PULUMI_HOME: join(work, "edge-home") };
    const seen = await preview(folder, folders, env, { password: "of-the-array" });
    const resources = resourcesIn(seen);
    expect(resources.map(({ type }) => type)).toEqual(
      expect.arrayContaining(["talos-iscsi:index:IscsiCluster", token]),
    );
    for (const name of plugins.map(({ executable: file }) => file.replace("pulumi-resource-", "")))
      expect(asked.filter((file) => archive(name).test(file))).toHaveLength(1);
    // One secret among the settings hides itself, and nothing beside it.
    expect(seen.text).not.toContain("of-the-array");
    const inputsOf = (type: string) => resources.find((resource) => resource.type === type)?.inputs;
    expect(inputsOf("kubernetes:storage.k8s.io/v1:StorageClass")?.["parameters"]).toEqual({
      "csi.storage.k8s.io/fstype": "xfs",
    });
    expect(JSON.stringify(inputsOf("kubernetes:apps/v1:Deployment"))).not.toContain("[secret]");

    const refused = async (text: string): Promise<string> => {
      await writeFile(join(folder, "Pulumi.yaml"), text);
      const { code, text: said } = await pulumi(folder, folders, ["preview"], env);
      expect(code, said).not.toBe(0);
      return said;
    };
    const { cluster } = settings;
    const slip = [{ ...cluster.nodes[0], adress: "10.0.0.12" }];
    expect(await refused(program({ ...settings, cluster: { ...cluster, nodes: slip } }))).toMatch(
      /adress[^]*address/,
    );
  });

  it("has the SDK of one version for `pulumi package add`, once that plugin is installed", async () => {
    const folder = await project("versioned", {
      "Pulumi.yaml": stringify({ name: "versioned", runtime: "nodejs" }),
      "package.json": JSON.stringify({ name: "versioned", main: "index.ts" }),
    });
    const env = { PULUMI_HOME: join(work, "versioned-home") };
    const install = ["plugin", "install", "resource", "talos-iscsi", version, "--server", url];
    const installed = await pulumi(folder, path, install, env);
    expect(installed.code, installed.text).toBe(0);
    const added = await pulumi(folder, path, ["package", "add", `talos-iscsi@${version}`], env);
    expect(added.code, added.text).toBe(0);
    const sdk = join(folder, "sdks", "talos-iscsi");
    expect(await readFile(join(sdk, "iscsiCluster.ts"), "utf8")).toContain("talos-iscsi:index:IscsiCluster");
    // So that a program with this SDK finds the plugin where the release is.
    expect(readManifest(join(sdk, "package.json"))["pulumi"]).toMatchObject({ version, server: url });
  });
});
