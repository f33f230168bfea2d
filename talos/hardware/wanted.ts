import { parseAllDocuments } from "yaml";
import { configText, ConfigTextError, isTreeMap, parseConfig, type TreeMap } from "../configTree.ts";
import { ownPatches, type MachineConfigPatchSpec } from "../machineConfigPatches.ts";
import { mergeConfig, MergeError } from "../mergeConfig.ts";
import { PatchError } from "../patches.ts";
import { skeletonConfig } from "../skeleton.ts";
import { namedHardware, type NamedHardware } from "./named.ts";
import { isSection } from "./sections.ts";

/** The parts of a node's desired configuration that concern hardware. */
export interface WantedNode {
  readonly name: string;
  /** The patches of its configuration. */
  readonly patches: Omit<MachineConfigPatchSpec, "installerImage" | "contract">;
  /** Its configuration file. Absent: one is generated. */
  readonly base?: string | undefined;
}

/**
 * The hardware that the nodes' configurations name, by node name. It is known before the secrets exist, so a new cluster's first preview can compare it with
 * the machines. Nodes with an unreadable configuration are left out; other checks report its problems.
 */
export function wantedHardware(
  nodes: readonly WantedNode[],
  contract: string,
): Record<string, NamedHardware[]> {
  const bases = new Map<string, HardwareBase | undefined>();
  const seen = new Map<string, NamedHardware[] | undefined>();
  const named: Record<string, NamedHardware[]> = {};
  for (const { name, patches, base } of nodes) {
    const { role, installDisk, diskSelector, network, vip, user } = patches;
    const origin = base ?? role;
    if (!bases.has(origin)) bases.set(origin, reduceToHardware(base ?? skeletonConfig(contract, role)));
    const known = bases.get(origin);
    if (known === undefined) continue;
    // Most nodes differ only in their names.
    const key = JSON.stringify([origin, role, installDisk, diskSelector, network, vip, user]);
    if (!seen.has(key))
      seen.set(
        key,
        hardwareInPatched(known, { ...patches, ...unrelatedFields, contract }, base !== undefined),
      );
    const found = seen.get(key);
    if (found !== undefined && found.length > 0) named[name] = found;
  }
  return named;
}

/** A configuration, in full and without the parts that name no hardware: those make up most of its text and merge time. */
interface HardwareBase {
  readonly short: string | undefined;
  readonly whole: string;
}

/** Patch fields that name no hardware. */
const unrelatedFields = {
  installerImage: "none",
  hostname: undefined,
  labels: undefined,
  taints: undefined,
  podSubnets: undefined,
  serviceSubnets: undefined,
  exemptNamespaces: [],
  kernelModules: [],
};

function hardwareInPatched(
  base: HardwareBase,
  spec: MachineConfigPatchSpec,
  isFile: boolean,
): NamedHardware[] | undefined {
  // A patch may concern parts that the short text lacks.
  for (const text of [base.short, base.whole]) {
    if (text === undefined) continue;
    try {
      const patches = [...ownPatches(spec, isFile ? text : undefined), ...spec.user];
      return hardwareInConfiguration(mergeConfig(text, patches));
    } catch (error) {
      const isKnown =
        error instanceof MergeError || error instanceof PatchError || error instanceof ConfigTextError;
      if (!isKnown) throw error;
    }
  }
  return undefined;
}

const parts = ["type", "install", "disks", "network", "sysfs", "udev"];

function reduceToHardware(text: string | undefined): HardwareBase | undefined {
  if (text === undefined) return undefined;
  try {
    return { whole: text, short: configText(parseConfig(text).map(keepHardwareFields)) };
  } catch (error) {
    if (error instanceof ConfigTextError) return { whole: text, short: undefined };
    throw error;
  }
}

function keepHardwareFields(document: TreeMap): TreeMap {
  if (document.has("kind")) return document;
  const machine = document.get("machine");
  const kept = isTreeMap(machine) ? [...machine].filter(([key]) => parts.includes(key)) : [];
  return new Map([
    ...[...document].filter(([key]) => key === "version"),
    ["machine", new Map(kept)] as const,
  ]);
}

/** The hardware that a complete configuration names. */
export function hardwareInConfiguration(configuration: string): NamedHardware[] {
  return namedHardware(documentsOf(configuration));
}

function documentsOf(configuration: string) {
  const documents = parseAllDocuments(configuration, { prettyErrors: false });
  return Array.isArray(documents)
    ? documents.map((document) => document.toJS() as unknown).filter(isSection)
    : [];
}
