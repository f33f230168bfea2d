import { existsSync, readdirSync, readlinkSync, symlinkSync, unlinkSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  LocalWorkspace,
  PulumiCommand,
  type InlineProgramArgs,
  type LocalWorkspaceOptions,
  type Stack,
} from "@pulumi/pulumi/automation/index.js";
import { labFiles, projectDir } from "./layout.ts";
import { languageHost, type PluginChoice } from "./pluginPaths.ts";

/**
 * The real engine on the lab's stack. It runs the program through the nodejs language host; if none is installed, the program runs inline
 * through the Automation API, with the same engine, backend and stack file as plain `pulumi`.
 */

/** The lab's state never leaves the machine and is deleted with the lab; the passphrase only keeps secrets in it from casual view. */
const labPassphrase = "talos-iscsi-lab";

/** The three variables that plain `pulumi` needs to work on a started lab. */
export function pulumiEnvironment(): Record<
  "PULUMI_BACKEND_URL" | "PULUMI_CONFIG_PASSPHRASE" | "PATH",
  string
> {
  return {
    PULUMI_BACKEND_URL: pathToFileURL(labFiles.backend).href,
    PULUMI_CONFIG_PASSPHRASE: labPassphrase,
    PATH: [
      labFiles.bin,
      ...(process.env["PATH"] ?? "").split(delimiter).filter((dir) => dir !== labFiles.bin),
    ].join(delimiter),
  };
}

/** Links the lab's tools, and the plugins that the engine wouldn't find by itself, into one folder that comes first on PATH. */
export function linkTools(found: Record<string, string>, plugins: readonly PluginChoice[]): void {
  // If the lab's own folder is on PATH, as `lab start` suggests, its links are found here.
  const unpublished = plugins
    .filter(({ kind }) => kind !== "published")
    .map(({ name, path }) => [`pulumi-resource-${name}`, path] as const);
  const programs = [...Object.entries(found), ...unpublished].map(
    ([name, path]) => [name, dirname(path) === labFiles.bin ? readlinkSync(path) : path] as const,
  );
  for (const entry of readdirSync(labFiles.bin)) unlinkSync(join(labFiles.bin, entry));
  // The engine looks for it only if it finds no nodejs language host.
  const policyRunner = [
    "pulumi-analyzer-policy-nodejs",
    join(projectDir, "lab", "plugins", "policy", "pulumi-analyzer-policy-nodejs"),
  ];
  for (const [name, path] of [...programs, ["node", process.execPath], policyRunner] as [string, string][]) {
    symlinkSync(path, join(labFiles.bin, name));
  }
}

/** Opens the stack, creating it on first use. @param backend where its state is stored; default: the lab's own. */
export async function openStack(stackName: string, backend?: string): Promise<Stack> {
  const environment = {
    ...pulumiEnvironment(),
    ...(backend === undefined ? {} : { PULUMI_BACKEND_URL: backend }),
  };
  Object.assign(process.env, environment); // the engine, its plugins and PulumiCommand all read this process's environment
  const pulumiCommand = await PulumiCommand.get({ skipVersionCheck: true });
  const options: LocalWorkspaceOptions = {
    workDir: projectDir,
    pulumiCommand,
    envVars: {
      ...environment,
      PULUMI_SKIP_UPDATE_CHECK: "true",
      // A missing plugin is an error right away; the engine doesn't try to download it.
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    },
  };
  return languageHost(join(labFiles.bin, "pulumi")) === undefined
    ? LocalWorkspace.createOrSelectStack(
        { stackName, projectName: "talos-iscsi", program: inlineProgram() },
        options,
      )
    : LocalWorkspace.createOrSelectStack({ stackName, workDir: projectDir }, options);
}

/** The program as the engine's language host would load it: the module itself, loaded again for every operation. */
function inlineProgram(): InlineProgramArgs["program"] {
  let runs = 0;
  return async () => {
    runs += 1;
    const entry = pathToFileURL(join(projectDir, "index.ts"));
    entry.searchParams.set("run", String(runs));
    const outputs = (await import(entry.href)) as Record<string, unknown>;
    return Object.fromEntries(Object.entries(outputs).filter(([, value]) => value !== undefined));
  };
}

/** Whether this lab already has a stack. Asking the engine would create one. */
export function hasState(stackName: string): boolean {
  return existsSync(join(labFiles.backend, ".pulumi", "stacks", "talos-iscsi", `${stackName}.json`));
}

/** One output of the stack in plain text, or undefined if nothing is deployed yet. For this process only: outputs may be secret. */
export async function stackOutput(stackName: string, name: string): Promise<string | undefined> {
  if (!hasState(stackName)) return undefined;
  const outputs = await (await openStack(stackName)).outputs();
  const value: unknown = outputs[name]?.value;
  return typeof value === "string" ? value : undefined;
}
