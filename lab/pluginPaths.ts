import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import semver from "semver";
import { labFiles, projectDir } from "./layout.ts";

/**
 * Which provider plugins the engine will run: an installed one is always preferred to its stand-in. The engine looks on PATH
 * before its home, so a stand-in is put on PATH only where the plugin is in neither.
 */

export interface PluginChoice {
  name: string;
  /** `installed`: the published plugin; `stand-in`: the lab's. */
  kind: "installed" | "stand-in";
  path: string;
}

const pluginPackages = { talos: "sdks/talos", kubernetes: "node_modules/@pulumi/kubernetes" } as const;

/** The choice for every provider plugin that the program needs and the lab has a stand-in for. */
export function choosePlugins(env: NodeJS.ProcessEnv = process.env): PluginChoice[] {
  return Object.entries(pluginPackages).map(([name, sdk]) => {
    const installed = onPath(name, env) ?? inPulumiHome(name, sdkVersion(sdk), env);
    if (installed !== undefined) return { name, kind: "installed", path: installed };
    return {
      name,
      kind: "stand-in",
      path: join(projectDir, "lab", "plugins", name, `pulumi-resource-${name}`),
    };
  });
}

function sdkVersion(folder: string): string {
  const manifest = JSON.parse(readFileSync(join(projectDir, folder, "package.json"), "utf8")) as {
    version: string;
  };
  return manifest.version;
}

function onPath(name: string, env: NodeJS.ProcessEnv): string | undefined {
  return (env["PATH"] ?? "")
    .split(delimiter)
    .filter((dir) => dir !== "" && dir !== labFiles.bin)
    .map((dir) => join(dir, `pulumi-resource-${name}`))
    .find((file) => existsSync(file) && statSync(file).isFile());
}

/** `$PULUMI_HOME/plugins/resource-<name>-v<version>`; the engine takes the wanted version or a newer one of the same major. */
function inPulumiHome(name: string, wanted: string, env: NodeJS.ProcessEnv): string | undefined {
  const plugins = join(env["PULUMI_HOME"] ?? join(homedir(), ".pulumi"), "plugins");
  if (!existsSync(plugins)) return undefined;
  const prefix = `resource-${name}-v`;
  const fitting = readdirSync(plugins)
    .filter((entry) => entry.startsWith(prefix) && !entry.includes(".lock") && !entry.includes(".partial"))
    .find((entry) => semver.satisfies(entry.slice(prefix.length), `^${wanted}`));
  if (fitting === undefined) return undefined;
  const file = join(plugins, fitting, `pulumi-resource-${name}`);
  return existsSync(file) ? file : undefined;
}
