import { existsSync, realpathSync, statSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { cachedPlugin, readSdk } from "../tools/pluginCache.ts";
import { locateTools } from "../tools/resolve.ts";
import type { ProgressSink } from "../tools/progress.ts";
import { labFiles, projectDir } from "./layout.ts";

/** Which plugins the engine will run: a published one first, then one built from source, then a stand-in. */

export interface PluginChoice {
  name: "talos" | "kubernetes";
  kind: "published" | "built from source" | "stand-in";
  /** With a leading v; for a stand-in, the version it stands in for. Absent for a plugin on PATH, which can't report its version. */
  version?: string;
  path: string;
}

/** The provider SDKs that the program uses. */
export const pluginSdks = [
  readSdk(join(projectDir, "sdks", "talos")),
  readSdk(join(projectDir, "node_modules", "@pulumi", "kubernetes")),
];

/** Chooses every provider plugin that the program needs. Builds the Kubernetes plugin if there is none. */
export async function choosePlugins(
  progress: ProgressSink = {},
  env: NodeJS.ProcessEnv = process.env,
): Promise<PluginChoice[]> {
  const [kubernetes] = await locateTools(["pulumi-resource-kubernetes"], progress);
  if (kubernetes === undefined) throw new Error("no Kubernetes plugin was found or built");
  const { path, version, origin } = kubernetes;
  const kind = origin === "published" ? "published" : "built from source";
  return [chooseTalos(env), { name: "kubernetes", kind, version, path }];
}

/** Its source isn't in any registry, so the lab has a stand-in. */
function chooseTalos(env: NodeJS.ProcessEnv): PluginChoice {
  const sdk = readSdk(join(projectDir, "sdks", "talos"));
  const onPath = findOnPath("pulumi-resource-talos", env);
  if (onPath !== undefined) return { name: "talos", kind: "published", path: onPath };
  const cached = cachedPlugin(sdk, env);
  if (cached !== undefined) return { name: "talos", kind: "published", ...cached };
  return {
    name: "talos",
    kind: "stand-in",
    version: `v${sdk.version}`,
    path: join(projectDir, "lab", "plugins", "talos", "pulumi-resource-talos"),
  };
}

/** The Node.js language host: on PATH, or next to the engine, where Pulumi's installer puts it. */
export function languageHost(pulumi: string, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const name = "pulumi-language-nodejs";
  const beside = join(dirname(realpathSync(pulumi)), name);
  return findOnPath(name, env) ?? (existsSync(beside) ? beside : undefined);
}

/** The first program of that name on PATH, ignoring the lab's own links. */
function findOnPath(name: string, env: NodeJS.ProcessEnv): string | undefined {
  return (env["PATH"] ?? "")
    .split(delimiter)
    .filter((dir) => dir !== "" && dir !== labFiles.bin)
    .map((dir) => join(dir, name))
    .find((file) => existsSync(file) && statSync(file).isFile());
}
