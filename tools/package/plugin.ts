import {
  copyFileSync,
  cpSync,
  createWriteStream,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { isBuiltin } from "node:module";
import { basename, join, relative, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { rolldown } from "rolldown";
import { pack } from "tar-stream";
import { filesBelow, plugins, readManifest } from "./build.ts";

type Plugin = (typeof plugins)[number];

/**
 * Creates the plugin archives that the engine downloads from a release, one per plugin and platform. Each contains everything the plugin imports, since the engine
 * does not install dependencies. Node.js is the only requirement.
 *
 * @param built the folder that `buildPackage` wrote.
 * @param out target folder for the archives.
 * @returns the paths of the archives.
 */
export async function pluginArchives(built: string, out: string, version: string): Promise<string[]> {
  return (
    await Promise.all(plugins.map((plugin) => createPluginArchives(built, out, version, plugin)))
  ).flat();
}

async function createPluginArchives(
  built: string,
  out: string,
  version: string,
  plugin: Plugin,
): Promise<string[]> {
  const folder = join(out, plugin.folder);
  await bundlePlugin(built, folder, plugin);
  const [first = "", ...others] = ["darwin", "linux"].flatMap(archivesOf);
  // With PulumiPlugin.yaml, the language host starts the plugin. Only Windows needs that, because there the engine can only start an .exe itself.
  await createArchive(folder, first, (name) => name !== "PulumiPlugin.yaml");
  for (const path of others) copyFileSync(first, path);
  const [windows = "", ...further] = archivesOf("windows");
  await createArchive(folder, windows, () => true);
  for (const path of further) copyFileSync(windows, path);
  return [first, ...others, windows, ...further];

  /** Uses the engine's names for operating systems and architectures. */
  function archivesOf(system: string): string[] {
    return ["amd64", "arm64"].map((architecture) =>
      join(out, `${plugin.executable}-v${version}-${system}-${architecture}.tar.gz`),
    );
  }
}

/** Bundles the plugin with everything it imports into one folder. */
export async function bundlePlugin(built: string, folder: string, plugin: Plugin): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  const bundle = await rolldown({
    input: join(built, plugin.folder, "index.js"),
    platform: "node",
    logLevel: "silent",
    // The folder may be anywhere; the packages come from this repository.
    resolve: { modules: ["node_modules", join(import.meta.dirname, "..", "..", "node_modules")] },
    // CommonJS packages use these; in the ESM bundle they would be undefined.
    transform: { define: { __dirname: "import.meta.dirname", __filename: "import.meta.filename" } },
  });
  const { output } = await bundle.write({
    dir: folder,
    format: "esm",
    entryFileNames: "index.js",
    chunkFileNames: "[name]-[hash].js",
  });
  await bundle.close();
  const own = new Set(output.map(({ fileName }) => fileName));
  const missing = output
    .flatMap((chunk) => (chunk.type === "chunk" ? [...chunk.imports, ...chunk.dynamicImports] : []))
    .filter((name) => !own.has(name) && !isBuiltin(name));
  // The engine does not install a plugin's dependencies: everything must be in the archive.
  if (missing.length > 0)
    throw new Error(`${plugin.executable} imports packages not in its archive: ${missing.join(", ")}`);
  const modules = output.flatMap((chunk) => (chunk.type === "chunk" ? chunk.moduleIds : []));
  writeFileSync(join(folder, "THIRD-PARTY-LICENSES"), collectLicences(modules));
  for (const name of ["start.cjs", plugin.executable, "PulumiPlugin.yaml", "package.json"])
    cpSync(join(built, plugin.folder, name), join(folder, name));
  cpSync(join(built, "provider", "startPlugin.cjs"), join(folder, "startPlugin.cjs"));
  const start = join(folder, "start.cjs");
  writeFileSync(
    start,
    readFileSync(start, "utf8").replace("../provider/startPlugin.cjs", "./startPlugin.cjs"),
  );
  // The Talos client reads its .proto files from the folder of its own code.
  for (const file of filesBelow(join(built, "talos", "api")).filter((name) => name.endsWith(".proto")))
    cpSync(file, join(folder, relative(join(built, "talos", "api"), file)));
  writeFileSync(join(folder, "LICENSE"), readFileSync(join(built, "LICENSE")));
}

/** The license texts of all bundled packages. */
function collectLicences(modules: readonly string[]): string {
  const packages = new Set(
    modules.flatMap((id) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(id)?.[0] ?? []),
  );
  return [...packages]
    .sort()
    .map((folder) => {
      const { name, version, license } = readManifest(join(folder, "package.json"));
      const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice)/i.test(file));
      const texts = files.map((file) => readFileSync(join(folder, file), "utf8").trim());
      return `${[`${name} ${version}: ${license ?? "see below"}`, ...texts].join("\n\n")}\n`;
    })
    .join(`\n${"-".repeat(80)}\n\n`);
}

async function createArchive(folder: string, path: string, has: (name: string) => boolean): Promise<void> {
  const tar = pack();
  const written = pipeline(tar, createGzip(), createWriteStream(path));
  for (const file of filesBelow(folder).sort()) {
    const name = relative(folder, file).split(sep).join("/");
    if (!has(name)) continue;
    const mode = basename(file).startsWith("pulumi-resource-") ? 0o755 : 0o644;
    tar.entry({ name, mode, mtime: new Date(0) }, readFileSync(file));
  }
  tar.finalize();
  await written;
}
