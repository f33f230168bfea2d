import { parseAllDocuments } from "yaml";
import { configText, ConfigTextError, isTreeMap, parseConfig, type TreeMap } from "../configTree.ts";
import { ownPatches, type MachineConfigPatchSpec } from "../machineConfigPatches.ts";
import { mergeConfig, MergeError } from "../mergeConfig.ts";
import { PatchError } from "../patches.ts";
import { skeletonConfig } from "../skeleton.ts";
import { namedHardware, type NamedHardware } from "./named.ts";
import { isSection } from "./sections.ts";

/** A node whose configuration is wanted, as far as its hardware is concerned. */
export interface WantedNode {
  readonly name: string;
  /** What is patched into its configuration. */
  readonly patches: Omit<MachineConfigPatchSpec, "installerImage" | "contract">;
  /** The configuration that it has on file. Absent: one is generated. */
  readonly base?: string | undefined;
}

/**
 * What the configurations of nodes name of their machines, by the nodes' names. It is known before there are secrets: a new cluster's first preview can hold
 * it against the machines. A node whose configuration cannot be read is left out; what is wrong with it is reported elsewhere.
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
    // Most nodes differ in their names alone.
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

/** A configuration, whole and without what names no hardware: most of a configuration's text, and of the time to merge it. */
interface HardwareBase {
  readonly short: string | undefined;
  readonly whole: string;
}

/** What of the patches names no hardware. */
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
  // A patch may be about what the short text lacks.
  for (const text of [base.short, base.whole]) {
    if (text === undefined) continue;
    try {
      const patches = [...ownPatches(spec, isFile ? text : undefined), ...spec.user];
      return namedHardware(documentsOf(mergeConfig(text, patches)));
    } catch (error) {
      const isKnown =
        error instanceof MergeError || error instanceof PatchError || error instanceof ConfigTextError;
      if (!isKnown) throw error;
    }
  }
  return undefined;
}

const parts = ["type", "install", "disks", "network"];

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

function documentsOf(configuration: string) {
  const documents = parseAllDocuments(configuration, { prettyErrors: false });
  return Array.isArray(documents)
    ? documents.map((document) => document.toJS() as unknown).filter(isSection)
    : [];
}
