import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import semver from "semver";

/** A published provider plugin, where the engine keeps what it has installed. */
export interface CachedPlugin {
  readonly path: string;
  /** With a leading v. */
  readonly version: string;
}

/** A Node SDK of a provider: its version is that of the plugin which it asks the engine for. */
export interface PluginSdk {
  /** Name of the package, such as `kubernetes` for `pulumi-resource-kubernetes`. */
  readonly name: string;
  /** Without a leading v. */
  readonly version: string;
  /** Where the plugin is downloaded from, if not from Pulumi's own place. */
  readonly server?: string;
}

/** What the SDK in this folder says of itself. */
export function readSdk(folder: string): PluginSdk {
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    version: string;
    pulumi: { name: string; server?: string };
  };
  const { name, server } = manifest.pulumi;
  return { name, version: manifest.version, ...(server === undefined ? {} : { server }) };
}

/** Looks in `$PULUMI_HOME/plugins/resource-<name>-v<version>`. As the engine does: the wanted version, or a newer one of the same major; the newest. */
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
