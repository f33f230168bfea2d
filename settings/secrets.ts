import type { Problem } from "../components/csi/problems.ts";
import type { SecretsSetting } from "./schema.ts";
import { givesSource, readSource, type ReadFile, type Source } from "./files.ts";
import { acceptedAuthorities, talosconfigMismatch } from "../talos/clusterIdentity.ts";
import { ConfigTextError, parseConfig } from "../talos/configTree.ts";
import {
  parseSecretsBundle,
  parseTalosconfig,
  SecretsError,
  secretsFromMachineConfig,
  type ClientCredentials,
  type MachineSecrets,
} from "../talos/secretsBundle.ts";

/** The parsed secrets of a running cluster. */
export interface ExistingSecrets {
  machineSecrets: MachineSecrets;
  /** Absent only if the program issues credentials itself. */
  clientConfiguration?: ClientCredentials;
}

const base = "cluster.secrets";

/**
 * Reads `cluster.secrets`, inline or from files. Messages never contain a secret's value.
 * @param own a control plane's machine configuration, which provides the secrets if nothing else does
 * @param renewCredentials whether a talosconfig may be missing, as after its loss: it is not used
 */
export function readExistingSecrets(
  setting: SecretsSetting,
  readFile: ReadFile,
  own?: Source,
  renewCredentials = false,
): { secrets?: ExistingSecrets; problems: Problem[] } {
  const problems: Problem[] = [];
  const parsed = <T>(source: Source | undefined, parse: (text: string) => T): T | undefined => {
    if (source === undefined) return undefined;
    try {
      return parse(source.text);
    } catch (error) {
      problems.push(...unusableReasons(error).map((reason) => ({ path: source.path, reason })));
      return undefined;
    }
  };
  const read = (key: string): Source | undefined => readSource(setting, key, base, readFile, problems);
  const [bundle, machineConfig] = [givesSource(setting, "bundle"), givesSource(setting, "controlplane")];
  if (bundle && machineConfig) {
    problems.push({
      path: base,
      reason: "has both a bundle and a machine configuration; set only one of them",
    });
  } else if (!bundle && !machineConfig && own === undefined) {
    problems.push({
      path: base,
      reason:
        "has no secrets: set bundleFile (secrets.yaml) or controlplaneFile (controlplane.yaml), or their contents",
    });
  }
  const isGiven = givesSource(setting, "talosconfig");
  if (!isGiven && !renewCredentials) {
    problems.push({
      path: base,
      reason:
        "has no talosconfig: set talosconfigFile or, as a secret, talosconfig; or cluster.renewCredentials: true, which issues one",
    });
  }
  const config = read("controlplane") ?? (bundle || machineConfig ? undefined : own);
  const machineSecrets =
    parsed(read("bundle"), parseSecretsBundle) ?? parsed(config, secretsFromMachineConfig);
  const talosconfig = read("talosconfig");
  const clientConfiguration = parsed(talosconfig, parseTalosconfig);
  if (problems.length > 0 || machineSecrets === undefined) return { problems };
  if (clientConfiguration === undefined)
    return isGiven ? { problems } : { secrets: { machineSecrets }, problems };
  const foreign = talosconfigMismatch(
    clientConfiguration,
    machineSecrets.certs.os.cert,
    acceptedAuthoritiesOf(config),
  );
  if (foreign !== undefined) {
    const [key, where] = [talosconfig?.path ?? base, config?.path ?? `${base}.bundle`];
    const context = JSON.stringify(clientConfiguration.context);
    return {
      problems: [
        {
          path: key,
          reason: `${foreign} (${where}): one of the files, or the current context ${context}, belongs to another cluster`,
        },
      ],
    };
  }
  return { secrets: { machineSecrets, clientConfiguration }, problems };
}

function acceptedAuthoritiesOf(config: Source | undefined): string[] {
  if (config === undefined) return [];
  try {
    return acceptedAuthorities(parseConfig(config.text));
  } catch (error) {
    if (error instanceof ConfigTextError) return [];
    throw error;
  }
}

/** Why a text could not be parsed. The reasons never quote it. */
function unusableReasons(error: unknown): string[] {
  if (error instanceof SecretsError) return error.problems.map(({ path, reason }) => `${path}: ${reason}`);
  // The YAML library's own limits: aliases without an anchor, too many aliases, too deep nesting.
  if (error instanceof ReferenceError || error instanceof RangeError)
    return ["has aliases or nesting that cannot be resolved, so talosctl did not write it"];
  throw error;
}
