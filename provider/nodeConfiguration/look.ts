import type { NodeConfigurationInputs } from "../../talos/inputs/nodeConfiguration.ts";
import { coded, framed, type CodedText } from "../../talos/errorCodes.ts";
import { alignConfig } from "../../talos/alignConfig.ts";
import { isTransient, TalosError } from "../../talos/api/errors.ts";
import type { TalosReader } from "../../talos/api/talosClient.ts";
import { configChanges, type ConfigChanges } from "../../talos/configChanges.ts";
import { ConfigTextError, parseConfig } from "../../talos/configTree.ts";
import { encryptionLoss, roleChange } from "../../talos/contractChange.ts";
import { useClusterReleases, keepRunningImages } from "../../talos/kubernetesImages.ts";
import { configRedactor, redactMachineConfig } from "../../talos/redact.ts";
import { throwIfCancelled } from "../context.ts";
import { nodeLabel } from "../inputs.ts";
import type { Surroundings } from "../session.ts";

/** Why a configuration is not applied: one user-facing error. */
export class ConfigurationError extends Error {
  override readonly name = "ConfigurationError";

  constructor(text: CodedText, options?: ErrorOptions) {
    super(text, options);
  }
}

/** The node's configuration, as far as it could be read. */
export type FoundConfiguration =
  | { state: "configured"; configuration: string }
  /** The machine accepts unauthenticated calls, as Talos does before it has a configuration. */
  | { state: "maintenance" }
  | { state: "unreachable"; reason: string };

/** What the configuration does to the node, and why it must not be applied. */
export interface ChangeVerdict extends ConfigChanges {
  /** All reasons against it in one text; undefined if there is none. */
  readonly refusal: CodedText | undefined;
}

interface ConfigurationLook {
  readonly surroundings: Surroundings;
  readonly wanted: NodeConfigurationInputs;
  readonly signal: AbortSignal;
}

/** Reads the node's configuration once. */
export async function findConfiguration(
  { surroundings, signal }: Pick<ConfigurationLook, "surroundings" | "signal">,
  client: TalosReader,
): Promise<FoundConfiguration> {
  try {
    const call = { deadlineMs: surroundings.timeouts.probeMs * 2, signal };
    const configuration = await client.machineConfiguration(call);
    return configuration === undefined ? { state: "maintenance" } : { state: "configured", configuration };
  } catch (error) {
    if (!(error instanceof TalosError)) throw error;
    throwIfCancelled({ signal });
    if ((isTransient(error) || error.kind === "certificate") && (await client.inMaintenance())) {
      return { state: "maintenance" };
    }
    return { state: "unreachable", reason: (await client.diagnose()) ?? error.detail };
  }
}

/** Retries until the node answers: it may be booting. Only a certificate that won't recover ends the wait early. */
export async function waitForConfiguration(
  looking: ConfigurationLook,
  client: TalosReader,
  tell: (text: string) => void,
  accept: (found: FoundConfiguration) => boolean = ({ state }) => state !== "unreachable",
  forMs = looking.surroundings.timeouts.certificateMs,
): Promise<FoundConfiguration> {
  const { clock, timeouts } = looking.surroundings;
  const end = clock.now() + forMs;
  for (;;) {
    throwIfCancelled(looking);
    const found = await findConfiguration(looking, client);
    if (accept(found) || clock.now() >= end) return found;
    tell(`waiting for the node to answer${found.state === "unreachable" ? `: ${found.reason}` : ""}`);
    await clock.sleep(timeouts.evictMs, looking.signal);
  }
}

/**
 * The configuration for a node that has `running`: it keeps the node's Kubernetes images, which only the cluster's KubernetesUpgrade changes, node by node. An
 * image set by a patch belongs to its owner and stays as desired.
 */
export function configurationForNode(
  wanted: NodeConfigurationInputs,
  running: string,
): Pick<NodeConfigurationInputs, "machineConfiguration"> {
  return compareOrThrow(wanted, () => ({
    machineConfiguration: keepRunningImages(wanted.machineConfiguration, running, wanted.patches),
  }));
}

/** The configuration for a node that joins the cluster of a control plane with `running`. */
export function configurationForJoining(wanted: NodeConfigurationInputs, running: string): string {
  return compareOrThrow(wanted, () =>
    useClusterReleases(wanted.machineConfiguration, running, wanted.patches),
  );
}

/**
 * What the desired configuration does to a node that has `running`.
 * @param before what this stack last applied: values in it that are gone now were removed on purpose
 */
export function judgeChange(
  wanted: NodeConfigurationInputs,
  running: string,
  before: string | undefined,
): ChangeVerdict {
  const { patches, acceptDropped, hidden, role } = wanted;
  const { machineConfiguration } = configurationForNode(wanted, running);
  return compareOrThrow(wanted, () => {
    const changes = configChanges({
      running,
      wanted: machineConfiguration,
      patches,
      before,
      accepted: acceptDropped,
      hidden,
    });
    const has = parseConfig(running);
    const forbidden = [
      roleChange(has, role),
      role === "controlplane" ? encryptionLoss(has, parseConfig(machineConfiguration)) : undefined,
    ].filter((reason) => reason !== undefined);
    const refusals = [
      ...forbidden.map((reason) => framed(`${nodeLabel(wanted)}: `, reason, "")),
      ...describeDropped(wanted, changes.dropped),
    ];
    return { ...changes, refusal: refusals.length === 0 ? undefined : (refusals.join("\n") as CodedText) };
  });
}

/** The lines in which a node differs from what it was given; `+` marks additions on the node. */
export function driftLines(wanted: NodeConfigurationInputs, running: string): string[] {
  if (running === wanted.machineConfiguration) return [];
  const { machineConfiguration } = configurationForNode(wanted, running);
  return compareOrThrow(wanted, () => [
    ...configChanges({
      running: machineConfiguration,
      wanted: running,
      patches: [],
      accepted: [],
      hidden: wanted.hidden,
    }).lines,
  ]);
}

/** The node's configuration, redacted and formatted like the desired one. */
export function redactedRunningConfiguration(wanted: NodeConfigurationInputs, running: string): string {
  const { key } = configRedactor(wanted.machineConfiguration);
  return compareOrThrow(wanted, () => {
    // With the desired images: a difference in Kubernetes is shown elsewhere.
    const shown = keepRunningImages(running, wanted.machineConfiguration, wanted.patches);
    return redactMachineConfig(alignConfig(shown, wanted.machineConfiguration), {
      key,
      hidden: wanted.hidden,
    });
  });
}

function compareOrThrow<T>(wanted: NodeConfigurationInputs, compare: () => T): T {
  try {
    return compare();
  } catch (error) {
    if (!(error instanceof ConfigTextError)) throw error;
    throw new ConfigurationError(
      coded("config-invalid", `${nodeLabel(wanted)}: its configuration cannot be compared: ${error.message}`),
      {
        cause: error,
      },
    );
  }
}

function describeDropped(wanted: NodeConfigurationInputs, lost: ConfigChanges["dropped"]): CodedText[] {
  if (lost.length === 0) return [];
  const lines = lost.map(({ line }) => `  ${line}`);
  const shown = lines.length > 40 ? [...lines.slice(0, 40), `  … and ${lines.length - 40} more`] : lines;
  return [
    framed(
      "",
      coded("config-drops", `${nodeLabel(wanted)}: this configuration would drop settings that the node has`),
      `. Nothing was applied.\n${shown.join("\n")}\n` +
        "Adopt them: set the node's own machine configuration (cluster.nodes[].configFile), or add them to patches. " +
        "List paths that may be dropped in cluster.acceptDropped.",
    ),
  ];
}

/** A warning about a node that differs from what it was given and is left alone: it has values that its configuration here would drop. */
export function driftWarning(wanted: NodeConfigurationInputs, lines: readonly string[]): CodedText {
  return framed(
    "",
    coded("config-changed-by-hand", `${nodeLabel(wanted)} was changed by hand`),
    ". The change is not reverted, since the node would lose settings that are not in this stack:\n" +
      `${lines.map((line) => `  ${line}`).join("\n")}\nLines with + are only on the node. Add them to patches, undo them on the node, or list them in cluster.acceptDropped and run \`pulumi up --refresh\`.`,
  );
}

/** Why a machine that should already have its configuration gets none without its owner's consent. */
export function reinstallRefusal(wanted: NodeConfigurationInputs, urn: string): CodedText {
  return coded(
    "machine-reinstalled",
    `${nodeLabel(wanted)} is configured according to the state, but answers without client authentication: it was reinstalled or reset, or another machine has its address`,
    "Its configuration holds the cluster's keys and is not sent to an unverified machine. If this is the right machine, run " +
      `\`pulumi up --replace '${urn}'\`, or remove ${wanted.name} from cluster.nodes (with onRemove: keep), run \`pulumi up\`, and add it again.`,
  );
}

/** Talos rejects a change that it can't make while running (siderolabs/talos v1.13 v1alpha1_server.go). */
export function needsReboot(error: unknown): boolean {
  return error instanceof TalosError && /immediate mode/i.test(error.detail);
}
