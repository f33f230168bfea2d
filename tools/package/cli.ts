import { Command } from "commander";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { buildPackage, type Source } from "./build.ts";
import { pluginArchives } from "./plugin.ts";

const program = new Command("package")
  .description(
    "Builds the release artifacts: the npm package, and the plugin archives that the engine downloads from\n" +
      "the release.",
  )
  .option("--out <folder>", "output folder", ".package")
  .option(
    "--repository <owner/name>",
    "GitHub repository whose releases contain the archives; default: none, the engine only finds the plugins on PATH",
  )
  .option(
    "--server <url>",
    "URL of a folder that contains the archives, such as a mirror; default: the releases",
  )
  .action(async ({ out: folderName, ...source }: { out: string } & Source) => {
    const { repository } = source;
    const out = resolve(folderName);
    if (repository !== undefined && !/^[\w.-]+\/[\w.-]+$/.test(repository)) {
      program.error(`--repository is ${repository}; it must be owner/name, as in github.com/owner/name`);
    }
    mkdirSync(out, { recursive: true });
    const folder = join(out, "npm");
    const { name, version } = await buildPackage(folder, source);
    execFileSync("npm", ["pack", "--silent", "--pack-destination", out, folder], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const archives = await pluginArchives(folder, out, version);
    for (const file of [join(out, `${name}-${version}.tgz`), ...archives])
      console.log(relative(process.cwd(), file));
  });

await program.parseAsync();
