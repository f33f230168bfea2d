import type { NodeUpgradeInputs } from "../../talos/inputs/nodeUpgrade.ts";
import { TalosError } from "../../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../../talos/api/talosClient.ts";
import { canonicalExtension } from "../../talos/extensions.ts";
import { derivesInitiatorName } from "../../talos/features.ts";
import { VersionError } from "../../talos/version.ts";
import type { NodeFacts } from "../facts.ts";

/**
 * The node's initiator name after the upgrade, if it changes: from 1.10 on Talos derives it from the machine ID (siderolabs/talos v1.10.0
 * controllers/files/iqn.go), which doesn't depend on the release. Undefined if the name stays or is unknown.
 */
export async function initiatorAfterUpgrade(
  talos: Pick<TalosReader, "readText">,
  { initiatorName: now }: Pick<NodeFacts, "initiatorName">,
  { talosVersion, extensions }: Pick<NodeUpgradeInputs, "talosVersion" | "extensions">,
  call: CallOptions,
): Promise<string | undefined> {
  if (now === undefined || !extensions.some((name) => canonicalExtension(name) === "iscsi-tools"))
    return undefined;
  try {
    if (!derivesInitiatorName(talosVersion)) return undefined;
    const machineId = (await talos.readText("/etc/machine-id", call))?.trim() ?? "";
    const future = `iqn.2017-11.dev.talos:${machineId}`;
    return machineId === "" || future === now ? undefined : future;
  } catch (error) {
    // A custom build, or a node that has stopped answering, which the guard reports.
    if (error instanceof VersionError) return undefined;
    if (error instanceof TalosError && error.kind !== "cancelled") return undefined;
    throw error;
  }
}

/** One warning for all nodes whose name changes, with one name per line for pasting into the array. */
export function initiatorChangeWarnings(
  looks: readonly { wanted: { name: string }; facts?: NodeFacts; initiator?: string }[],
): string[] {
  const changes = looks.flatMap(({ wanted, facts, initiator }) =>
    initiator === undefined
      ? []
      : [{ line: `  ${wanted.name}: ${facts?.initiatorName ?? "none"} -> ${initiator}`, initiator }],
  );
  if (changes.length === 0) return [];
  return [
    [
      "initiator names change with this upgrade; allow the new ones on the array before it, or no volume attaches again:",
      ...changes.map(({ line }) => line),
      "The new names:",
      ...changes.map(({ initiator }) => initiator),
    ].join("\n"),
  ];
}
