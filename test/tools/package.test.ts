import { execFile, execFileSync, spawn } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  buildPackage,
  filesBelow,
  plugins,
  publishedManifest,
  readManifest,
} from "../../tools/package/build.ts";
import { bundlePlugin } from "../../tools/package/plugin.ts";
import { PluginClient } from "../provider/pluginClient.ts";
import { talosconfig } from "../unit/settings/example.ts";

// Uses the npm package in a consumer's folder, which has nothing from this repository except the packages that npm would install.
const root = join(import.meta.dirname, "..", "..");
const run = promisify(execFile);
const consumer = mkdtempSync(join(tmpdir(), "talos-iscsi-consumer-"));
const installed = join(consumer, "node_modules", "talos-iscsi");
const examples = join(root, "examples", "programs");
/** The programs in docs/use-as-a-library.md, by name. */
const programs = Object.fromEntries(
  readdirSync(examples).map((file) => [basename(file, ".ts"), readFileSync(join(examples, file), "utf8")]),
);

beforeAll(async () => {
  const built = join(consumer, "built");
  const { version } = await buildPackage(built, { repository: "acme/talos-iscsi" });
  execFileSync("npm", ["pack", "--silent", "--pack-destination", consumer, built]);
  mkdirSync(installed, { recursive: true });
  execFileSync("tar", [
    "xzf",
    join(consumer, `talos-iscsi-${version}.tgz`),
    "-C",
    installed,
    "--strip-components=1",
  ]);
  const names = [
    ...Object.keys(readManifest(join(installed, "package.json")).dependencies ?? {}),
    "@types/node",
  ];
  for (const name of names) {
    const link = join(consumer, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(root, "node_modules", name), link);
  }
  writeFileSync(join(consumer, "package.json"), JSON.stringify({ name: "consumer", type: "module" }));
  for (const [name, code] of Object.entries(programs)) writeFileSync(join(consumer, `${name}.ts`), code);
  writeFileSync(join(consumer, "preview.ts"), preview);
}, 300_000);

afterAll(() => rmSync(consumer, { recursive: true, force: true }));

vi.setConfig({ testTimeout: 300_000 });

/** Runs one of the programs under Pulumi's mocks and prints what it declares. */
const preview = `
import * as pulumi from "@pulumi/pulumi";
const types: string[] = [];
await pulumi.runtime.setMocks({
  newResource: ({ type, name, inputs }) => {
    types.push(type);
    return { id: name, state: inputs };
  },
  call: () => ({ machineConfiguration: "machine: {}", talosConfig: "" }),
}, "consumer", "test", true);
await import(process.argv[2] ?? "");
await pulumi.runtime.disconnect();
console.log(JSON.stringify([...new Set(types)].sort()));
`;

describe("the npm package", () => {
  it("contains code, declarations and the data files, and nothing else", () => {
    const files = filesBelow(installed).map((file) => relative(installed, file));
    const others = files.filter((name) => !/\.(js|d\.ts)$/.test(name)).sort();
    expect(others).toEqual([
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "package.json",
      "plugin/PulumiPlugin.yaml",
      "plugin/package.json",
      "plugin/pulumi-resource-talos-iscsi",
      "plugin/start.cjs",
      "provider/PulumiPlugin.yaml",
      "provider/package.json",
      "provider/pulumi-resource-talos-node",
      "provider/schema.json",
      "provider/start.cjs",
      "provider/startPlugin.cjs",
      "sdks/talos/package.json",
      "settings.schema.json",
      "talos/api/cluster.proto",
      "talos/api/common.proto",
      "talos/api/google/rpc/status.proto",
      "talos/api/machine.proto",
      "talos/api/resource.proto",
      "talos/api/state.proto",
      "talos/mergeRules.json",
      "talos/skeletons.json",
    ]);
    const folders = new Set(files.filter((name) => name.includes("/")).map((name) => name.split("/")[0]));
    expect([...folders].sort()).toEqual(["components", "plugin", "provider", "sdks", "settings", "talos"]);
    const sources = files.filter((name) => /from "[^"]*\.ts"|@pulumiverse/.test(read(name)));
    expect(sources.filter((name) => !name.endsWith("package.json"))).toEqual([]);
  });

  it("names the plugin, its version and server, and its dependencies", () => {
    const manifest = readManifest(join(installed, "package.json"));
    const provider = /readonly version = "([^"]+)"/.exec(
      readFileSync(join(root, "provider", "plugin.ts"), "utf8"),
    )?.[1];
    expect(manifest["pulumi"]).toEqual({
      resource: true,
      name: "talos-node",
      version: provider,
      server: "github://api.github.com/acme/talos-iscsi",
    });
    expect(readManifest(join(installed, "plugin", "package.json"))).toMatchObject({
      version: provider,
      server: "github://api.github.com/acme/talos-iscsi",
    });
    expect(manifest["private"]).toBeUndefined();
    expect(Object.keys(manifest.dependencies ?? {})).toEqual(
      expect.arrayContaining(["@pulumi/kubernetes", "@pulumi/pulumi", "@grpc/grpc-js", "yaml", "zod"]),
    );
  });

  it("refuses code that imports a package missing from package.json", () => {
    expect(() => publishedManifest({ name: "a", version: "1.0.0", dependencies: {} }, ["left-pad"])).toThrow(
      /left-pad/,
    );
  });

  it.each([
    { module: "nodenext", moduleResolution: "nodenext" },
    { module: "esnext", moduleResolution: "bundler" },
    // The setup of `pulumi new typescript`.
    { module: "commonjs", moduleResolution: "node10", ignoreDeprecations: "6.0" },
  ])("has declarations for $moduleResolution, and the example programs compile", async (options) => {
    const out = join(consumer, options.moduleResolution);
    const config = join(consumer, `tsconfig.${options.moduleResolution}.json`);
    writeFileSync(
      config,
      JSON.stringify({
        compilerOptions: {
          ...options,
          target: "es2022",
          strict: true,
          // Checking the declarations themselves once is enough.
          skipLibCheck: options.moduleResolution !== "nodenext",
          types: ["node"],
          outDir: out,
        },
        include: ["*.ts"],
        // It uses top-level await, which CommonJS does not support.
        exclude: options.module === "commonjs" ? ["preview.ts"] : [],
      }),
    );
    expect(Object.keys(programs)).toHaveLength(4);
    const compiled = await run(process.execPath, [
      join(root, "node_modules", "typescript", "bin", "tsc"),
      "-p",
      config,
    ]).catch((error: { stdout: string }) => error);
    expect(compiled.stdout).toBe("");
  });

  const formats = [
    ["module", "nodenext"],
    ["commonjs", "node10"],
  ] as const;
  const runs = Object.keys(programs).flatMap((name) =>
    formats.map(([type, folder]) => [name, type, folder] as const),
  );
  it.each(runs)("runs the program %s as %s", async (name, type, folder) => {
    writeFileSync(join(consumer, folder, "package.json"), JSON.stringify({ type }));
    const config = {
      "project:talosconfig": talosconfig,
      "project:kubeconfig": "{}",
      "project:password": "p",
    };
    const { stdout } = await run(
      process.execPath,
      ["--no-strip-types", join(consumer, "nodenext", "preview.js"), `../${folder}/${name}.js`],
      {
        cwd: join(consumer, "nodenext"),
        env: {
          ...process.env,
          JOVIANDSS_PASSWORD: "p",
          PULUMI_CONFIG: JSON.stringify(
            Object.fromEntries(
              Object.entries(config).map(([key, value]) => [key.replace("project", "consumer"), value]),
            ),
          ),
        },
      },
    );
    const types = JSON.parse(stdout.trim().split("\n").at(-1) ?? "[]") as string[];
    const expected: Record<string, string> = {
      cluster: "talos-iscsi:index:IscsiCluster",
      upgrade: "talos-node:index:NodeUpgrade",
      driver: "talos-iscsi:index:SynologyCsi",
      ownDriver: "kubernetes:storage.k8s.io/v1:CSIDriver",
    };
    expect(types).toContain(expected[name]);
  });
});

describe.each(plugins)("the plugin $executable", (plugin) => {
  it("starts from the package", async () => {
    expect(await port(join(installed, plugin.folder, plugin.executable))).toBeGreaterThan(0);
  });

  it("starts from a release archive, without any installed dependencies", async () => {
    const folder = mkdtempSync(join(tmpdir(), "talos-iscsi-plugin-"));
    try {
      await bundlePlugin(join(consumer, "built"), folder, plugin);
      expect(readdirSync(folder)).not.toContain("node_modules");
      expect(readFileSync(join(folder, "THIRD-PARTY-LICENSES"), "utf8")).toMatch(
        /^@grpc\/grpc-js .*Apache-2\.0/m,
      );
      expect(await port(join(folder, plugin.executable))).toBeGreaterThan(0);
      // Files that are loaded on demand are there too.
      expect(await schemaOf(join(folder, plugin.executable))).toMatchObject({
        name: plugin.executable.replace("pulumi-resource-", ""),
        pluginDownloadURL: "github://api.github.com/acme/talos-iscsi",
        resources: { "talos-node:index:NodeUpgrade": {} },
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

function read(name: string): string {
  return readFileSync(join(installed, name), "utf8");
}

/** The schema that a plugin returns. */
async function schemaOf(program: string): Promise<unknown> {
  const client = await PluginClient.start(program);
  try {
    return JSON.parse(await client.schema());
  } finally {
    await client.stop();
  }
}

/** A plugin prints the port that it listens on. */
async function port(program: string): Promise<number> {
  const child = spawn(program, [], {
    env: { ...process.env, PATH: `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}` },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    for await (const line of child.stdout) return Number(String(line).trim());
    return 0;
  } finally {
    child.kill("SIGKILL");
  }
}
