import { mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { LocalWorkspace, PulumiCommand } from "@pulumi/pulumi/automation/index.js";
import type { PulumiFn, Stack } from "@pulumi/pulumi/automation/index.js";
import { resolveTools } from "../../tools/resolve.ts";

export interface StandInEngine {
  stack: Stack;
  /** The state as stored on disk. An export through the Automation API would decrypt it. */
  storedState(): Promise<string>;
  remove(): Promise<void>;
}

/**
 * The real engine with its own backend. It runs a program in this process, and finds only the stand-in of the Talos plugin.
 * @param plugins executables of more plugins
 */
export async function standInEngine(
  program: PulumiFn,
  config: Record<string, string> = {},
  plugins: readonly string[] = [],
): Promise<StandInEngine> {
  const { pulumi, talosctl } = await resolveTools(["pulumi", "talosctl"]);
  const folder = await mkdtemp(join(tmpdir(), "stand-in-engine-"));
  const [bin, state] = [join(folder, "bin"), join(folder, "state")];
  await Promise.all([bin, state].map((path) => mkdir(path)));
  await symlink(pulumi, join(bin, "pulumi"));
  const talos = join(import.meta.dirname, "../../lab/plugins/talos/pulumi-resource-talos");
  for (const plugin of [talos, ...plugins]) await symlink(plugin, join(bin, basename(plugin)));
  const environment = {
    // The plugin's `env node` must find the Node.js that runs the tests.
    PATH: [bin, dirname(process.execPath), process.env["PATH"] ?? ""].join(delimiter),
    PULUMI_HOME: join(folder, "home"),
    PULUMI_BACKEND_URL: pathToFileURL(state).href,
    PULUMI_CONFIG_PASSPHRASE: "test",
    PULUMI_SKIP_UPDATE_CHECK: "true",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    TALOS_ISCSI_TALOSCTL: talosctl,
  };
  // The Automation API starts the engine with this process's environment.
  const before = Object.fromEntries(Object.keys(environment).map((key) => [key, process.env[key]]));
  Object.assign(process.env, environment);
  const stack = await LocalWorkspace.createOrSelectStack(
    { stackName: "dev", projectName: "stand-ins", program },
    {
      workDir: folder,
      pulumiCommand: await PulumiCommand.get({ skipVersionCheck: true }),
      envVars: environment,
    },
  );
  await stack.setAllConfig(
    Object.fromEntries(Object.entries(config).map(([key, value]) => [key, { value }])),
  );
  return {
    stack,
    storedState: () => readFile(join(state, ".pulumi", "stacks", "stand-ins", "dev.json"), "utf8"),
    async remove() {
      for (const [key, value] of Object.entries(before)) {
        if (value === undefined) {
          Reflect.deleteProperty(process.env, key);
        } else {
          process.env[key] = value;
        }
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}
