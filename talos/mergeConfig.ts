/**
 * Applies patches to a machine configuration like Talos's own machinery, by the rules of its types (mergeRules.ts). The result is known before anything is sent
 * to a node, so it can be compared with what the node has. Compared with the machinery in test/night/mergeFuzz.test.ts.
 */
import { coded } from "./errorCodes.ts";
import {
  configText,
  ConfigTextError,
  documentLabel,
  isTreeList,
  isTreeMap,
  parseConfig,
  parseTree,
  textOf,
  type Tree,
  type TreeMap,
} from "./configTree.ts";
import { asTalosWrites, asYaml11, withoutEmpty } from "./jsonForm.ts";
import { applyJsonPatch } from "./jsonPatch.ts";
import { machineryText } from "./machineryText.ts";
import { documentRule, NEWEST_LINE, PROVIDER_LINE, type DocumentRule, type Line } from "./mergeRules.ts";
import { mergeTree } from "./mergeTree.ts";
import { applyDeletion, checkDocumentHead, splitDeletes, type Deletion } from "./patchDeletes.ts";
import { PatchRefused } from "./patchRefused.ts";

/** A patch that can't be applied to a configuration. */
export class MergeError extends Error {
  override readonly name = "MergeError";
  /** Its index in the list, from 0. */
  readonly patch: number;
  readonly reason: string;

  constructor(patch: number, reason: string) {
    super(coded("patch", `patch ${patch + 1}: ${reason}`));
    this.patch = patch;
    this.reason = reason;
  }
}

/** Documents, and whether Talos has parsed them as a configuration: until then a JSON patch applies to the raw text. */
interface State {
  readonly documents: readonly TreeMap[];
  readonly read: boolean;
}

/**
 * Applies the patches to a configuration in order. Throws `MergeError` for a patch that doesn't fit or that Talos refuses to merge, `ConfigTextError` for a
 * base that is not YAML.
 * @param line the release line whose rules apply; by default the newest, which knows all documents
 */
export function mergeConfig(base: string, patches: readonly string[], line: Line = NEWEST_LINE): string {
  return configText(mergeTrees(base, patches, line));
}

/** The same for a configuration that the Talos provider generated: the result is the text that the provider returns if it applies the patches itself. */
export function mergeGenerated(base: string, patches: readonly string[]): string {
  return machineryText(mergeTrees(base, patches, PROVIDER_LINE), PROVIDER_LINE);
}

function mergeTrees(base: string, patches: readonly string[], line: Line): TreeMap[] {
  let state: State = { documents: parseConfig(base), read: false };
  patches.forEach((patch, index) => {
    try {
      state = applyPatch(state, parseTree(patch), isJson(patch), line);
    } catch (error) {
      if (error instanceof PatchRefused || error instanceof ConfigTextError)
        throw new MergeError(index, error.message);
      throw error;
    }
  });
  const { documents, read } = state;
  return documents.map((document) => withMainKind(read ? writeBack(document, line) : document));
}

/** Talos omits empty lists and maps where it can, and an empty value may differ in meaning from an absent one. */
function writeBack(document: TreeMap, line: Line): TreeMap {
  return withoutEmpty(document, ruleOf(document, line)?.shape) as TreeMap;
}

/** By one of these keys, Talos recognizes a document without a kind as the main configuration. */
function withMainKind(document: TreeMap): TreeMap {
  if (textOf(document, "kind") !== undefined) return document;
  if (["machine", "cluster", "debug", "persist"].some((key) => document.has(key))) return document;
  return new Map([...document, ["machine", { text: "null", plain: true }]]);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function applyPatch(state: State, parts: readonly Tree[], json: boolean, line: Line): State {
  const [first, ...others] = parts;
  if (first === undefined) return state;
  if (isTreeList(first)) {
    if (others.length > 0)
      throw new PatchRefused(
        "is a JSON patch (RFC 6902) followed by another document; make each a separate patch",
      );
    return { documents: applyJsonPatchTo(state, first, json, line), read: false };
  }
  return { documents: mergeDocuments(state.documents, parts, line), read: true };
}

function applyJsonPatchTo(
  { documents, read }: State,
  operations: readonly Tree[],
  json: boolean,
  line: Line,
): TreeMap[] {
  const [only, ...more] = documents;
  if (only === undefined || more.length > 0)
    throw new PatchRefused(
      "a JSON patch (RFC 6902) cannot be applied to a configuration with several documents",
    );
  const shape = ruleOf(only, line)?.shape;
  const form = read ? asTalosWrites(only, shape) : asYaml11(only);
  return [applyJsonPatch(form as TreeMap, operations, json)];
}

/** One step of a patch: a deletion from a document, or a document to merge. */
interface Step {
  readonly id: string;
  readonly document: TreeMap;
  readonly deletion?: Deletion;
}

function mergeDocuments(documents: readonly TreeMap[], parts: readonly Tree[], line: Line): TreeMap[] {
  const steps = parts.flatMap((part) => stepsOf(part, line));
  const main = documentId(new Map(), line);
  // Deletions from the main configuration come first, whatever document contains them.
  const ordered = [
    ...steps.filter((step) => step.id === main && step.deletion !== undefined),
    ...steps.filter((step) => step.id === main && step.deletion === undefined),
    ...steps.filter((step) => step.id !== main),
  ];
  const result = ordered.reduce<TreeMap[]>((all, step) => applyStep(all, step, line), [...documents]);
  checkConflicts(result, line);
  return result;
}

function stepsOf(part: Tree, line: Line): Step[] {
  if (!isTreeMap(part)) {
    throw new PatchRefused(
      isTreeList(part)
        ? "has a JSON patch (RFC 6902) after a document; make each a separate patch"
        : "is not a mapping, like a machine configuration",
    );
  }
  const id = documentId(part, line);
  const { deletions, rest } = splitDeletes(part);
  if (deletions.length > 0) checkDocumentHead(part);
  return [
    ...deletions.map((deletion) => ({ id, document: part, deletion })),
    ...(rest === undefined ? [] : [{ id, document: rest }]),
  ];
}

function applyStep(documents: TreeMap[], { id, document, deletion }: Step, line: Line): TreeMap[] {
  const shape = ruleOf(document, line)?.shape;
  const at = documents.findIndex((other) => documentId(other, line) === id);
  const present = documents[at];
  if (deletion === undefined) {
    if (present === undefined) return [...documents, document];
    return documents.with(at, mergeTree(present, document, shape, documentLabel(document)) as TreeMap);
  }
  if (present === undefined) {
    // The older line leaves a document that no node accepts.
    if (line === NEWEST_LINE) return documents;
    throw new PatchRefused(
      `deletes ${documentLabel(document) || "from the main configuration"}, which does not exist`,
    );
  }
  if (deletion.keys.length > 0) return documents.with(at, applyDeletion(present, deletion, shape));
  if (textOf(document, "kind") === undefined)
    throw new PatchRefused("deletes the main configuration, which Talos does not support");
  return documents.toSpliced(at, 1);
}

function ruleOf(document: TreeMap, line: Line): DocumentRule | undefined {
  return documentRule(textOf(document, "kind") ?? "", line);
}

/** What identifies documents for Talos. */
function documentId(document: TreeMap, line: Line): string {
  const kind = textOf(document, "kind") ?? "";
  if (kind === "") return "/v1alpha1";
  const named = ruleOf(document, line)?.named ?? true;
  return [textOf(document, "apiVersion") ?? "", kind, named ? (textOf(document, "name") ?? "") : ""].join(
    "/",
  );
}

function checkConflicts(documents: readonly TreeMap[], line: Line): void {
  for (const document of documents) {
    const name = textOf(document, "name");
    for (const kind of ruleOf(document, line)?.conflicts ?? []) {
      const other = documents.find((one) => textOf(one, "kind") === kind && textOf(one, "name") === name);
      if (other !== undefined)
        throw new PatchRefused(
          `leaves both ${documentLabel(document)} and ${documentLabel(other)}: Talos accepts only one of them`,
        );
    }
  }
}
