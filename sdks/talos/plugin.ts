import * as pulumi from "@pulumi/pulumi";
import manifest from "./package.json" with { type: "json" };

/**
 * The plugin that serves this package's requests. Read from the `pulumi` block of package.json, where the engine
 * looks for plugins to install before the program runs, so that the two cannot disagree about the version.
 */
export const plugin = {
  name: manifest.pulumi.name,
  version: manifest.pulumi.version,
  downloadUrl: manifest.pulumi.server,
} as const;

/**
 * The caller's options on top of the plugin's version and download server. The caller wins: a program may pin another
 * plugin version for one resource.
 */
export function withPlugin<Options extends pulumi.ResourceOptions | pulumi.InvokeOptions>(
  opts: Options | undefined,
): Options {
  const defaults = { version: plugin.version, pluginDownloadURL: plugin.downloadUrl };
  // mergeOptions works with any options object, but its types only cover resource options.
  return pulumi.mergeOptions(defaults, opts) as Options;
}
