import { execFile } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { promisify } from "node:util";

const root = join(import.meta.dirname, "..", "..");
const run = promisify(execFile);

/** The parts of a package.json that this file reads or writes. */
export interface Manifest {
  name: string;
  version: string;
  description?: string;
  license?: string;
  engines?: Record<string, string>;
  dependencies?: Record<string, string>;
  [field: string]: unknown;
}

/** Files in the package besides compiled code: data that the code reads, and the files that start the plugins. */
const data = [
  "README.md",
  "LICENSE",
  "CHANGELOG.md",
  "settings.schema.json",
  "sdks/talos/package.json",
  "provider/package.json",
  "provider/PulumiPlugin.yaml",
  "provider/pulumi-resource-talos-node",
  "provider/start.cjs",
  "provider/startPlugin.cjs",
  "plugin/package.json",
  "plugin/PulumiPlugin.yaml",
  "plugin/pulumi-resource-talos-iscsi",
  "plugin/start.cjs",
];

/** The plugins: the folder and the executable of each. */
export const plugins = [
  { folder: "provider", executable: "pulumi-resource-talos-node" },
  { folder: "plugin", executable: "pulumi-resource-talos-iscsi" },
] as const;

/** Where the engine downloads the plugin archives from. Without either, it only finds plugins on PATH. */
export interface Source {
  /** GitHub repository (`owner/name`) whose releases contain the archives. */
  repository?: string | undefined;
  /** URL of a folder with the archives, such as a mirror. Default: the repository's releases. */
  server?: string | undefined;
}

/** Compiled into the package rather than resolved by npm: the SDK is a folder of this repository. */
const localSdk = "@pulumiverse/talos";

/**
 * Writes the npm package: the data files, and compiled JavaScript with declarations, since Node.js does not run TypeScript below node_modules.
 *
 * @param folder target folder; its previous content is deleted.
 * @returns its manifest.
 */
export async function buildPackage(folder: string, source: Source = {}): Promise<Manifest> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const config = join(root, "tools", "package", "tsconfig.json");
  await run(process.execPath, [
    join(root, "node_modules", "typescript", "bin", "tsc"),
    "-p",
    config,
    "--outDir",
    folder,
  ]);
  for (const path of [...data, ...protocolFiles()])
    cpSync(join(root, path), join(folder, path), { recursive: true });
  const imported = new Set<string>();
  for (const file of filesBelow(folder).filter((name) => /\.(js|d\.ts)$/.test(name))) {
    const text = readFileSync(file, "utf8");
    const sdk = relative(dirname(file), join(folder, "sdks", "talos", "index.js"))
      .split(sep)
      .join("/");
    const own = specifiers(text, (name) =>
      name === localSdk ? `./${sdk}` : name.replace(/^(\..*)\.ts$/, "$1.js"),
    );
    writeFileSync(file, own);
    if (file.endsWith(".js")) for (const name of packagesIn(own)) imported.add(name);
  }
  for (const plugin of plugins) {
    rewriteFile(join(folder, plugin.folder, "start.cjs"), (text) => text.replace("./index.ts", "./index.js"));
    chmodSync(join(folder, plugin.folder, plugin.executable), 0o755);
  }
  rewriteFile(join(folder, "sdks", "talos", "package.json"), (text) =>
    text.replaceAll("index.ts", "index.js"),
  );
  const manifest = publishedManifest(readManifest(join(root, "package.json")), [...imported].sort(), source);
  for (const plugin of plugins)
    writeManifest(join(folder, plugin.folder), {
      ...readManifest(join(root, plugin.folder, "package.json")),
      version: manifest.version,
      ...pluginServer(source),
    });
  writeManifest(folder, manifest);
  return manifest;
}

function writeManifest(folder: string, manifest: Manifest): void {
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

/** The published `package.json`. Omits `private` and the scripts, which only make sense in the repository. */
export function publishedManifest(own: Manifest, imported: readonly string[], source: Source = {}): Manifest {
  const { name, version, description, license, engines } = own;
  const dependencies = Object.fromEntries(
    imported.map((needed) => {
      const pinned = own.dependencies?.[needed];
      if (pinned === undefined)
        throw new Error(`package.json has no dependency ${needed}, which the package imports`);
      // The consumer uses Pulumi's packages too. A range lets npm install one copy for both.
      return [needed, needed.startsWith("@pulumi/") ? `^${pinned}` : pinned];
    }),
  );
  const { repository } = source;
  return {
    name,
    version,
    ...(description === undefined ? {} : { description }),
    ...(license === undefined ? {} : { license }),
    ...(repository === undefined ? {} : { repository: `github:${repository}` }),
    type: "module",
    ...(engines === undefined ? {} : { engines }),
    // Programs with TypeScript's older module resolution, such as Pulumi's own templates, only read these two fields.
    main: "./components/index.js",
    types: "./components/index.d.ts",
    exports: {
      ".": { types: "./components/index.d.ts", default: "./components/index.js" },
      "./settings.schema.json": "./settings.schema.json",
      "./package.json": "./package.json",
    },
    bin: Object.fromEntries(plugins.map(({ folder, executable }) => [executable, `${folder}/${executable}`])),
    dependencies,
    // The language host finds this in node_modules, and the engine installs the plugin before it runs the program.
    pulumi: { resource: true, name: "talos-node", version, ...pluginServer(source) },
  };
}

/** In the engine's notation. */
function pluginServer({ repository, server }: Source): { server?: string } {
  if (server !== undefined) return { server };
  return repository === undefined ? {} : { server: `github://api.github.com/${repository}` };
}

export function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(path, "utf8")) as Manifest;
}

const imports = /(\bfrom\s*|\bimport\s*\(\s*|\bimport\s+)(["'])([^"'\n]+)\2/g;

function specifiers(text: string, change: (name: string) => string): string {
  return text.replace(
    imports,
    (_all, before: string, quote: string, name: string) => before + quote + change(name) + quote,
  );
}

/** The npm packages that the code imports. */
function packagesIn(text: string): string[] {
  return [...text.matchAll(imports)]
    .map(([, , , name = ""]) => name)
    .filter((name) => /^@?[a-z][a-z0-9/.-]*$/.test(name) && !name.startsWith("node:"))
    .map((name) =>
      name
        .split("/")
        .slice(0, name.startsWith("@") ? 2 : 1)
        .join("/"),
    );
}

function protocolFiles(): string[] {
  const folder = join(root, "talos", "api");
  return filesBelow(folder)
    .filter((name) => name.endsWith(".proto"))
    .map((name) => relative(root, name));
}

export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function rewriteFile(path: string, change: (text: string) => string): void {
  writeFileSync(path, change(readFileSync(path, "utf8")));
}
