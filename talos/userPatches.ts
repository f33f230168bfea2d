/**
 * Checks the patches that users provide before a node sees them: first as text, then by the configuration that they produce. The rules for the result are those
 * of talos/checkConfig.ts; this file finds the patch that causes each problem. What only Talos can judge is left to Talos.
 */
import { isMap, isScalar, isSeq, type Node } from "yaml";
import { ConfigTextError, parseConfig, type TreeMap } from "./configTree.ts";
import type { Finding, Place } from "./configuration.ts";
import { KINDS_SINCE_1_14, KINDS_UP_TO_1_13 } from "./documentKinds.ts";
import { exemptedNamespaces } from "./exemptions.ts";
import { checkConfig } from "./checkConfig.ts";
import { pointerKeys } from "./jsonPatch.ts";
import { MergeError, mergeConfig } from "./mergeConfig.ts";
import { kindOf, nodeAt, PatchSource, type PatchDocument, type PatchProblem } from "./patchSource.ts";
import { EXEMPT_BY_TALOS } from "./patches.ts";
import { skeletonConfig } from "./skeleton.ts";
import { findUnknownKeys } from "./unknownKeys.ts";
import { contractAtLeast, versionAtLeast } from "./version.ts";

/** The target of the patches, and what this program sets itself. */
export interface UserPatchContext {
  /** Absent for patches of both roles: only their text is checked. */
  readonly role?: "controlplane" | "worker" | undefined;
  /** Absent if unknown: rules that only apply to some contracts are skipped. */
  readonly contract?: string | undefined;
  /** The installer image from the settings. */
  readonly image?: string | undefined;
  /** The hostname from the settings. */
  readonly hostname?: string | undefined;
  /** The exempted namespaces from the settings. */
  readonly namespaces?: readonly string[] | undefined;
  /** The node's existing configuration. Absent: the one generated for the contract. */
  readonly base?: string | undefined;
  /** The path of that configuration in the settings, for messages. */
  readonly baseName?: string | undefined;
  /** The configuration generated for the contract, with values from the settings. Default: with placeholders for all of them. */
  readonly generated?: string | undefined;
  /** This program's patches, which come first. */
  readonly own?: readonly string[] | undefined;
  /** The node's desired release; it may know more documents than its contract generates. */
  readonly talosVersion?: string | undefined;
}

/** The problems of a node's configuration. */
export interface PatchVerdict {
  /** In the order of the patches; they are applied in this order. */
  readonly problems: readonly PatchProblem[];
  /** Problems that existed before the user's patches. */
  readonly ofBase: readonly Finding[];
  /** The configuration with all patches; absent if they can't be applied. */
  readonly merged?: readonly TreeMap[];
}

/** Checks the text of a node's patches, and the configuration that results from them. */
export function evaluatePatches(patches: readonly string[], context: UserPatchContext): PatchVerdict {
  const sources = patches.map((text, patch) => new PatchSource(text, patch));
  const parts = sources.map((source) => source.parts());
  const asText = [
    ...sources.flatMap(({ problems }) => problems),
    ...parts.flat().flatMap((part) => textProblems(part, context)),
  ];
  const unreadable = new Set(asText.map(({ patch }) => patch));
  // Unreadable patches are left out, so that one run reports all mistakes.
  const readable = patches.map((text, patch) => (unreadable.has(patch) ? undefined : text));
  const { problems, ...verdict } = evaluateResult(readable, parts, context);
  return {
    ...verdict,
    problems: [...asText, ...problems].sort((a, b) => a.patch - b.patch || (a.line ?? 0) - (b.line ?? 0)),
  };
}

/** Problems of one patch document, regardless of the configuration it is applied to. */
function textProblems(part: PatchDocument, context: UserPatchContext): PatchProblem[] {
  const { contents } = part.root;
  if (isSeq(contents)) return [];
  if (!isMap(contents))
    return [part.problem(contents ?? undefined, "must be a mapping, like a machine configuration")];
  const ofForm = part.root.has("kind") ? documentProblems(part, context) : sectionProblems(part);
  return [...ofForm, ...findUnknownKeys(part, context.talosVersion)];
}

function documentProblems(part: PatchDocument, context: UserPatchContext): PatchProblem[] {
  const { kind, node } = kindOf(part);
  const say = (reason: string): PatchProblem[] => [part.problem(node, reason)];
  if (part.root.get("apiVersion") !== "v1alpha1") return say(`document ${kind} needs apiVersion: v1alpha1`);
  if (!KINDS_UP_TO_1_13.has(kind) && !KINDS_SINCE_1_14.has(kind))
    return say(`document kind ${kind} does not exist in Talos v1.14 or older`);
  const { contract, base, talosVersion } = context;
  if (!KINDS_SINCE_1_14.has(kind) || contract === undefined || contractAtLeast(contract, 14)) return [];
  // A release reads all of its documents, and the user's file may contain any of them; a generated configuration has only the contract's.
  if (base !== undefined && talosVersion !== undefined && versionAtLeast(talosVersion, 14)) return [];
  return say(
    `document kind ${kind} needs contract v1.14 or newer; with contract ${contract}, its settings belong in the v1alpha1 document`,
  );
}

function sectionProblems(part: PatchDocument): PatchProblem[] {
  const known = ["version", "debug", "persist", "machine", "cluster", "$patch"];
  const { contents } = part.root;
  if (!isMap(contents)) return [];
  return contents.items.flatMap(({ key }) => {
    const name = isScalar(key) ? String(key.value) : "";
    if (known.includes(name)) return [];
    const reason = `${name} is not a section of a machine configuration (machine, cluster)`;
    return [part.problem(isScalar(key) ? key : undefined, reason)];
  });
}

type Step = { readonly patch: number; readonly findings: readonly Finding[] };

function evaluateResult(
  patches: readonly (string | undefined)[],
  parts: readonly (readonly PatchDocument[])[],
  context: UserPatchContext,
): PatchVerdict {
  const { role, contract } = context;
  // A generated configuration with only this program's patches has no problems; a test checks that against Talos for every contract.
  if (role === undefined || (context.base === undefined && patches.length === 0))
    return { problems: [], ofBase: [] };
  const start =
    context.base ??
    context.generated ??
    (contract === undefined ? undefined : skeletonConfig(contract, role));
  if (start === undefined) return { problems: [], ofBase: [] };
  let text: string;
  try {
    text = mergeConfig(start, context.own ?? []);
  } catch (error) {
    // Reported where the file, or the input of this program's patches, is checked.
    if (error instanceof ConfigTextError || error instanceof MergeError) return { problems: [], ofBase: [] };
    throw error;
  }
  const before = parseConfig(text);
  const judge = (documents: readonly TreeMap[]): Finding[] =>
    checkConfig(documents, {
      role,
      before,
      image: context.image,
      hostname: context.hostname,
      exempter: (name) => describeExempter(name, context),
    });
  const steps: Step[] = [{ patch: -1, findings: judge(before) }];
  const refused: PatchProblem[] = [];
  let documents = before;
  for (const [patch, given] of patches.entries()) {
    if (given === undefined) continue;
    try {
      text = mergeConfig(text, [given]);
    } catch (error) {
      if (!(error instanceof MergeError)) throw error;
      refused.push({ patch, line: undefined, reason: error.reason });
      continue;
    }
    documents = parseConfig(text);
    steps.push({ patch, findings: judge(documents) });
  }
  const found = (steps.at(-1)?.findings ?? []).map((finding) => ({
    finding,
    patch: findCulprit(finding, steps),
  }));
  return {
    problems: [
      ...refused,
      ...found
        .filter(({ patch }) => patch >= 0)
        .map(({ finding, patch }) => ({
          patch,
          line: lineOfFinding(finding, parts[patch] ?? []),
          reason: finding.reason,
        })),
    ],
    ofBase: found.flatMap(({ finding, patch }) => (patch < 0 ? [finding] : [])),
    ...(refused.length > 0 ? {} : { merged: documents }),
  };
}

/** The patch that caused a finding. */
function findCulprit({ rule, reason }: Finding, steps: readonly Step[]): number {
  const clean = steps.findLastIndex(
    ({ findings }) => !findings.some((other) => other.rule === rule && other.reason === reason),
  );
  return steps[clean + 1]?.patch ?? -1;
}

function describeExempter(name: string, { base, baseName, namespaces = [] }: UserPatchContext): string {
  if (base !== undefined && exemptedNamespaces(base).includes(name))
    return `${baseName ?? "the node's own configuration"} exempts it`;
  if (base === undefined && name === EXEMPT_BY_TALOS) return "Talos already exempts it";
  return namespaces.includes(name) ? "the settings already exempt it" : "another patch already exempts it";
}

/** The line of a patch that a finding comes from; undefined if unknown. */
function lineOfFinding({ places }: Finding, parts: readonly PatchDocument[]): number | undefined {
  for (const place of places) {
    for (const part of parts.toReversed()) {
      const node = isSeq(part.root.contents) ? operationAt(part, place) : nodeAtPlace(part, place);
      if (node !== undefined) return part.problem(node, "").line;
    }
  }
  return undefined;
}

function nodeAtPlace(part: PatchDocument, { kind, keys, value }: Place): Node | undefined {
  if (kindOf(part).kind !== kind) return undefined;
  const node = keys.length === 0 ? (part.root.contents ?? undefined) : nodeAt(part, keys);
  return value === undefined || node === undefined ? node : (findScalar(node, value) ?? node);
}

function findScalar(node: unknown, value: string): Node | undefined {
  if (isScalar(node)) return String(node.value) === value ? node : undefined;
  if (isSeq(node)) return node.items.map((item) => findScalar(item, value)).findLast(Boolean);
  return isMap(node) ? node.items.map((pair) => findScalar(pair.value, value)).findLast(Boolean) : undefined;
}

/** The operation of a JSON patch that concerns a place. */
function operationAt(part: PatchDocument, { keys }: Place): Node | undefined {
  const { contents } = part.root;
  if (!isSeq(contents)) return undefined;
  return contents.items.findLast((item) => {
    const path: unknown = isMap(item) ? item.get("path") : undefined;
    if (typeof path !== "string") return false;
    const given = pointerKeys(path);
    return given.slice(0, keys.length).every((key, index) => keys[index] === key);
  });
}
