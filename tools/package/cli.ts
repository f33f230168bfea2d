import { Command } from "commander";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { buildPackage } from "./build.ts";
import { pluginArchives } from "./plugin.ts";

const program = new Command("package")
  .description(
    "Writes what a release consists of: the npm package, and the archives of the plugins that the engine\n" +
      "downloads from the release.",
  )
  .option("--out <folder>", "where to write it", ".package")
  .option(
    "--repository <owner/name>",
    "repository on GitHub whose releases have the archives; default: none, and the plugin is found on PATH only",
  )
  .action(async ({ out: folderName, repository }: { out: string; repository?: string }) => {
    const out = resolve(folderName);
    if (repository !== undefined && !/^[\w.-]+\/[\w.-]+$/.test(repository)) {
      program.error(`--repository is ${repository}; it is owner/name, as in github.com/owner/name`);
    }
    mkdirSync(out, { recursive: true });
    const folder = join(out, "npm");
    const { name, version } = await buildPackage(folder, repository);
    execFileSync("npm", ["pack", "--silent", "--pack-destination", out, folder], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const archives = await pluginArchives(folder, out, version);
    for (const file of [join(out, `${name}-${version}.tgz`), ...archives])
      console.log(relative(process.cwd(), file));
  });

await program.parseAsync();
