import type { NodeUpgradeInputs } from "../../talos/inputs/nodeUpgrade.ts";
import { TalosError } from "../../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../../talos/api/talosClient.ts";
import { canonicalExtension } from "../../talos/extensions.ts";
import { derivesInitiatorName } from "../../talos/features.ts";
import { VersionError } from "../../talos/version.ts";
import type { NodeFacts } from "../facts.ts";

/**
 * The initiator name that a node gets by its upgrade, where that changes it: Talos derives it from the machine ID from 1.10 on (siderolabs/talos v1.10.0
 * controllers/files/iqn.go), and the machine ID does not depend on the release. Undefined where the name stays, or nobody can tell.
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
    // A build of one's own, or a node that has stopped answering: the guard tells the latter.
    if (error instanceof VersionError) return undefined;
    if (error instanceof TalosError && error.kind !== "cancelled") return undefined;
    throw error;
  }
}

/** One warning for all nodes whose name changes, with the names below each other, to be pasted into the array. */
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
