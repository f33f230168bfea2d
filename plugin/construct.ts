import type { Problem } from "../components/csi/problems.ts";
import { decodeText } from "../talos/decodeText.ts";
import { problemCode } from "../settings/problemCode.ts";
import { pathText, type Path } from "../settings/secretValues.ts";
import { coded } from "../talos/errorCodes.ts";
import { isRecord } from "../talos/values.ts";
import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import type { ConstructResult, Provider } from "@pulumi/pulumi/provider/provider.js";
import { IscsiCluster } from "../components/iscsiCluster.ts";
import { parseSettings, SettingsError, type Settings } from "../config.ts";
import { clusterToken } from "./schema.ts";

/**
 * Constructs an IscsiCluster for a program in any language, from the engine's request.
 *
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

/** The program only references this plugin, so this tells the engine where to find the node plugin. */
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

/** The settings determine the resources, so they must be known; which of them are secret is kept. */
async function settingsFromInputs(inputs: pulumi.Inputs): Promise<Settings> {
  const { value, plain, secret, unknown } = await readInput(inputs, []);
  if (unknown.length > 0) {
    throw inputsError(
      unknown.map((path) => ({
        path: pathText(path),
        reason:
          "is not known yet: it comes from a resource that does not exist. Settings decide which resources are created; create that resource in its own stack and use its output",
      })),
    );
  }
  try {
    return parseSettings(
      value as Record<string, unknown>,
      (path) => decodeText(readFileSync(path)),
      process.env,
      { secretKeys: new Set(secret.map(([key]) => String(key))), file: plain as Record<string, unknown> },
    );
  } catch (error) {
    throw error instanceof SettingsError ? inputsError(error.problems) : error;
  }
}

/** An input as received. */
interface ReadInput {
  value: unknown;
  /** The same, without secrets. */
  plain: unknown;
  /** Paths of the secrets. */
  secret: Path[];
  /** Paths of unknown values. */
  unknown: Path[];
}

/** Descends into lists and mappings, so that one secret doesn't hide its siblings, and unknown values have their full paths. */
async function readInput(input: unknown, path: Path): Promise<ReadInput> {
  if (pulumi.Output.isInstance(input) || input instanceof Promise) {
    const output = pulumi.output(input as pulumi.Input<unknown>) as unknown as KnownOutput;
    if (!(await output.isKnown)) return { value: undefined, plain: undefined, secret: [], unknown: [path] };
    const value = await output.promise();
    return (await output.isSecret)
      ? { value, plain: undefined, secret: [path], unknown: [] }
      : { value, plain: value, secret: [], unknown: [] };
  }
  // A resource in place of a setting references its parent, and so on without end.
  if (pulumi.Resource.isInstance(input) || (!Array.isArray(input) && !isRecord(input)))
    return { value: input, plain: input, secret: [], unknown: [] };
  const parts = await Promise.all(
    Object.entries(input).map(
      async ([key, inner]) =>
        [key, await readInput(inner, [...path, Array.isArray(input) ? Number(key) : key])] as const,
    ),
  );
  const joined = (pick: (part: ReadInput) => unknown): unknown =>
    Array.isArray(input)
      ? parts.map(([, part]) => pick(part))
      : Object.fromEntries(parts.map(([key, part]) => [key, pick(part)]));
  return {
    value: joined((part) => part.value),
    plain: joined((part) => part.plain),
    secret: parts.flatMap(([, part]) => part.secret),
    unknown: parts.flatMap(([, part]) => part.unknown),
  };
}

/** Internals of the SDK's Output that its type doesn't declare. */
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
