import type { Problem } from "../components/csi/problems.ts";
import { problemCode } from "../settings/problemCode.ts";
import { coded } from "../talos/errorCodes.ts";
import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import type { ConstructResult, Provider } from "@pulumi/pulumi/provider/provider.js";
import { IscsiCluster } from "../components/iscsiCluster.ts";
import { parseSettings, SettingsError, type Settings } from "../config.ts";
import { clusterToken } from "./schema.ts";

/**
 * Makes an IscsiCluster for a program in any language.
 *
 * @param call what the engine asks for.
 * @param version of this plugin.
 * @param server where the engine finds the plugin `talos-node` of the same version. Default: on PATH.
 * @throws pulumi.InputPropertiesError, which the engine shows without a stack trace, with every mistake in the settings.
 */
export async function constructCluster(
  [name, type, inputs, options]: Parameters<NonNullable<Provider["construct"]>>,
  version: string,
  server: string | undefined,
): Promise<ConstructResult> {
  if (type !== clusterToken) throw new Error(`this plugin has no component ${type}; it has ${clusterToken}`);
  const settings = await settingsFromInputs(inputs);
  const cluster = new IscsiCluster(
    name,
    settings,
    server === undefined ? options : withPluginSource(options, version, server),
  );
  return { urn: cluster.urn, state: { ...cluster.outputs } };
}

/** The program knows of this plugin alone, so nobody else tells the engine where that of the nodes is. */
function withPluginSource(
  options: pulumi.ComponentResourceOptions,
  version: string,
  server: string,
): pulumi.ComponentResourceOptions {
  const plugin = { version, pluginDownloadURL: server };
  return pulumi.mergeOptions(options, {
    transformations: [
      ({ type, props, opts }: pulumi.ResourceTransformationArgs) =>
        type.startsWith("talos-node:") ? { props, opts: pulumi.mergeOptions(opts, plugin) } : undefined,
    ],
  });
}

/** The settings decide which resources there are, so they have to be known; which of them are secret stays known, too. */
async function settingsFromInputs(inputs: pulumi.Inputs): Promise<Settings> {
  const given: Record<string, unknown> = {};
  const secretKeys = new Set<string>();
  const unknown: string[] = [];
  for (const [key, input] of Object.entries(inputs)) {
    const output = pulumi.output(input as pulumi.Input<unknown>) as unknown as KnownOutput;
    if (!(await output.isKnown)) unknown.push(key);
    else given[key] = await output.promise();
    if (await output.isSecret) secretKeys.add(key);
  }
  if (unknown.length > 0) {
    throw inputsError(
      unknown.map((path) => ({
        path,
        reason:
          "is not known yet: it comes from a resource that does not exist. Settings decide which resources are created; create that resource in its own stack and use its output",
      })),
    );
  }
  try {
    return parseSettings(given, (path) => readFileSync(path, "utf8"), process.env, { secretKeys, file: {} });
  } catch (error) {
    throw error instanceof SettingsError ? inputsError(error.problems) : error;
  }
}

/** What the SDK's Output knows of itself and its type does not say. */
interface KnownOutput {
  isKnown: Promise<boolean>;
  isSecret: Promise<boolean>;
  promise: () => Promise<unknown>;
}

function inputsError(found: readonly Problem[]): pulumi.InputPropertiesError {
  return new pulumi.InputPropertiesError({
    message: "the settings cannot be used",
    errors: found.map((problem) => ({
      propertyPath: problem.path,
      reason: coded(problemCode(problem), problem.reason),
    })),
  });
}
