import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import semver from "semver";

/** A published provider plugin in the engine's plugin cache. */
export interface CachedPlugin {
  readonly path: string;
  /** With a leading v. */
  readonly version: string;
}

/** The Node.js SDK of a provider. It requests the plugin of its own version from the engine. */
export interface PluginSdk {
  /** Name of the Pulumi package, such as `kubernetes` for `pulumi-resource-kubernetes`. */
  readonly name: string;
  /** Without a leading v. */
  readonly version: string;
  /** Download server of the plugin. Default: Pulumi's. */
  readonly server?: string;
}

/** Reads the manifest of the SDK in this folder. */
export function readSdk(folder: string): PluginSdk {
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    version: string;
    pulumi: { name: string; server?: string };
  };
  const { name, server } = manifest.pulumi;
  return { name, version: manifest.version, ...(server === undefined ? {} : { server }) };
}

/** Looks in `$PULUMI_HOME/plugins/resource-<name>-v<version>`. Like the engine, picks the newest plugin of the same major that is at least the requested version. */
export function cachedPlugin(sdk: PluginSdk, env: NodeJS.ProcessEnv): CachedPlugin | undefined {
  const plugins = join(env["PULUMI_HOME"] || join(homedir(), ".pulumi"), "plugins");
  if (!existsSync(plugins)) return undefined;
  const prefix = `resource-${sdk.name}-v`;
  const versions = readdirSync(plugins)
    .filter((entry) => entry.startsWith(prefix) && !existsSync(join(plugins, `${entry}.partial`)))
    .map((entry) => entry.slice(prefix.length))
    .filter((version) => semver.satisfies(version, `^${sdk.version}`))
    .sort(semver.rcompare);
  const suffix = process.platform === "win32" ? ".exe" : "";
  return versions
    .map((version) => ({
      version: `v${version}`,
      path: join(plugins, `${prefix}${version}`, `pulumi-resource-${sdk.name}${suffix}`),
    }))
    .find(({ path }) => existsSync(path));
}
