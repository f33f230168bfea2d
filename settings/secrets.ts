import type { Problem } from "../components/csi/problems.ts";
import type { SecretsSetting } from "./schema.ts";
import { show } from "./words.ts";
import {
  parseSecretsBundle,
  parseTalosconfig,
  SecretsError,
  secretsFromMachineConfig,
  type ClientCredentials,
  type MachineSecrets,
} from "../talos/secretsBundle.ts";

/** How a file that the settings name is read: its text, or an Error. */
export type ReadFile = (path: string) => string;

/** The secrets of a running cluster, read and taken apart. */
export interface ExistingSecrets {
  machineSecrets: MachineSecrets;
  clientConfiguration: ClientCredentials;
}

const base = "cluster.secrets";

/** Reads what `cluster.secrets` gives or names. No message ever has a value of a secret in it. */
export function existingSecrets(
  setting: SecretsSetting,
  readFile: ReadFile,
): { secrets?: ExistingSecrets; problems: Problem[] } {
  const problems: Problem[] = [];
  const read = <T>(
    key: keyof SecretsSetting,
    fileKey: keyof SecretsSetting,
    parse: (text: string) => T,
  ): T | undefined => {
    const source = sourceOf(setting, key, fileKey, readFile, problems);
    if (source === undefined) return undefined;
    try {
      return parse(source.text);
    } catch (error) {
      problems.push(...unusable(error).map((reason) => ({ path: source.path, reason })));
      return undefined;
    }
  };
  const [bundle, machineConfig] = [given(setting, "bundle"), given(setting, "controlplane")];
  if (bundle && machineConfig) {
    problems.push({ path: base, reason: "has both a bundle and a machine configuration; give one of them" });
  } else if (!bundle && !machineConfig) {
    problems.push({
      path: base,
      reason:
        "has no secrets: give bundleFile (secrets.yaml) or controlplaneFile (controlplane.yaml), or their contents",
    });
  }
  if (!given(setting, "talosconfig")) {
    problems.push({
      path: base,
      reason: "has no talosconfig: give talosconfigFile or, as a secret, talosconfig",
    });
  }
  const machineSecrets =
    read("bundle", "bundleFile", parseSecretsBundle) ??
    read("controlplane", "controlplaneFile", secretsFromMachineConfig);
  const clientConfiguration = read("talosconfig", "talosconfigFile", parseTalosconfig);
  if (problems.length > 0 || machineSecrets === undefined || clientConfiguration === undefined)
    return { problems };
  return { secrets: { machineSecrets, clientConfiguration }, problems };
}

/** Why a text could not be taken apart. Nothing of the text itself is in the reasons. */
function unusable(error: unknown): string[] {
  if (error instanceof SecretsError) return error.problems.map(({ path, reason }) => `${path}: ${reason}`);
  // The YAML library's own limits: aliases without end, nesting without end.
  if (error instanceof ReferenceError || error instanceof RangeError)
    return ["has aliases or nesting without end, so it is not a file that talosctl wrote"];
  throw error;
}

function given(setting: SecretsSetting, key: "bundle" | "controlplane" | "talosconfig"): boolean {
  return setting[key] !== undefined || setting[`${key}File`] !== undefined;
}

function sourceOf(
  setting: SecretsSetting,
  key: keyof SecretsSetting,
  fileKey: keyof SecretsSetting,
  readFile: ReadFile,
  problems: Problem[],
): { path: string; text: string } | undefined {
  const [text, file] = [setting[key], setting[fileKey]];
  if (text !== undefined && file !== undefined) {
    problems.push({
      path: `${base}.${fileKey}`,
      reason: `stands beside ${key}, which says the same; give one of them`,
    });
    return undefined;
  }
  if (text !== undefined) return { path: `${base}.${key}`, text };
  if (file === undefined) return undefined;
  if (/[\r\n]/.test(file)) {
    problems.push({
      path: `${base}.${fileKey}`,
      reason: `is not a path but ${show(file)}; if these are the file's contents, they belong under ${key}`,
    });
    return undefined;
  }
  try {
    return { path: `${base}.${fileKey}`, text: readFile(file) };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why =
      code === "ENOENT"
        ? "there is no such file"
        : code === "EACCES"
          ? "this user may not read it"
          : `it cannot be read (${code ?? String(error)})`;
    problems.push({
      path: `${base}.${fileKey}`,
      reason: `is ${show(file)}, but ${why}; paths are taken from the project's folder`,
    });
    return undefined;
  }
}
