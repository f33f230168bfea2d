/**
 * `$patch: delete` in a patch, as in Talos: deletions are extracted from the patch first and applied to the configuration before the rest is merged
 * (configloader/internal/decoder of its machinery).
 */
import { isLeaf, isNull, isTreeList, isTreeMap, textOf, type Tree, type TreeMap } from "./configTree.ts";
import { pathOf } from "./configLists.ts";
import { PatchRefused } from "./patchRefused.ts";
import type { Shape } from "./mergeRules.ts";
import { goDuration, integerText } from "./scalars.ts";

/** One thing to delete. */
export interface Deletion {
  /** The keys that lead to it; empty for the whole document. */
  readonly keys: readonly string[];
  /** For an item of the list at that path: the field and the value that identify it. */
  readonly item?: { readonly key: string; readonly text: string } | undefined;
}

const DELETE = "$patch";

/** Whether a mapping in a patch deletes its counterpart. */
export function isDeletion(tree: Tree): tree is TreeMap {
  if (!isTreeMap(tree)) return false;
  const word = tree.get(DELETE);
  return word !== undefined && isLeaf(word) && word.text === "delete";
}

/** Splits a patch document into its deletions and the rest; the rest is undefined if nothing is left to merge. */
export function splitDeletes(document: TreeMap): { deletions: Deletion[]; rest: TreeMap | undefined } {
  const deletions: Deletion[] = [];
  const rest = extractDeletions(document, [], "document", deletions);
  return { deletions, rest: rest === undefined || isHead(rest as TreeMap) ? undefined : (rest as TreeMap) };
}

function extractDeletions(
  tree: Tree,
  keys: readonly string[],
  parent: "document" | "map" | "list",
  deletions: Deletion[],
): Tree | undefined {
  if (isTreeMap(tree)) {
    const left = new Map(tree);
    for (const [key, value] of tree) {
      if (key === DELETE && isLeaf(value) && value.text === "delete") {
        deletions.push(parseDeletion(left, keys, parent));
        return undefined;
      }
      const rest = extractDeletions(value, [...keys, key], "map", deletions);
      if (rest !== undefined) {
        left.set(key, rest);
        continue;
      }
      left.delete(key);
      if (left.size === 0) return undefined;
    }
    return left;
  }
  if (!isTreeList(tree)) return tree;
  const left: Tree[] = [];
  let gone = false;
  for (const [index, item] of tree.entries()) {
    const rest = extractDeletions(item, [...keys, `[${index}]`], "list", deletions);
    if (rest === undefined) gone = true;
    else left.push(rest);
  }
  return gone && left.length === 0 ? undefined : left;
}

function parseDeletion(
  tree: TreeMap,
  keys: readonly string[],
  parent: "document" | "map" | "list",
): Deletion {
  const list = keys.findIndex((key) => key.startsWith("["));
  if (parent !== "list") {
    if (list < 0) return { keys };
    throw new PatchRefused(
      `deletes ${showPath(keys)}, which is inside a list item; only whole items, and sections outside lists, can be deleted`,
    );
  }
  const place = keys.slice(0, -1);
  if (place.some((key) => key.startsWith("[")))
    throw new PatchRefused(
      `deletes an item of ${showPath(place)}, a list inside another list's item, which Talos does not support; delete the outer item and add it again`,
    );
  const [key, value] =
    [...tree].find(([name, leaf]) => !(name === DELETE && isLeaf(leaf) && leaf.text === "delete")) ?? [];
  if (key === undefined || value === undefined)
    throw new PatchRefused(
      `deletes an item of ${showPath(place)} without saying which; add a field that identifies it, such as its name`,
    );
  return { keys: place, item: { key, text: isLeaf(value) ? value.text : "" } };
}

// Talos skips a document with only these keys left; apiVersion is not among them.
function isHead(tree: TreeMap): boolean {
  return [...tree].every(([key, value]) => isLeaf(value) && /^(?:version|kind|name)$/.test(key));
}

/** Deletes one part of a document, not the whole document. Throws `PatchRefused` if Talos doesn't find it. */
export function applyDeletion(
  document: TreeMap,
  { keys, item }: Deletion,
  shape: Shape | undefined,
): TreeMap {
  const missing = (): never => {
    const what = item === undefined ? showPath(keys) : `${showPath(keys)}[${item.key}: ${item.text}]`;
    throw new PatchRefused(`deletes ${what}, which does not exist`);
  };
  const deleteAt = (
    tree: Tree | undefined,
    of: Shape | undefined,
    left: readonly string[],
    path: string,
  ): Tree => {
    const present = tree === undefined || isNull(tree) ? undefined : tree;
    const [key = "", ...rest] = left;
    if (left.length === 0) {
      if (item === undefined || !isTreeList(present)) return missing();
      const found = present.findIndex((other) => isDeletedItem(other, item, of));
      return found < 0 ? missing() : present.toSpliced(found, 1);
    }
    const struct = of?.kind === "struct";
    if (of?.kind === "leaf" || of?.kind === "scalar") return missing(); // read as a whole
    // For Talos, a section that is not a pointer always exists.
    const map = isTreeMap(present)
      ? present
      : present === undefined && struct && !of.pointer
        ? new Map<string, Tree>()
        : missing();
    if (!map.has(key) && !(struct && of.fields.has(key))) return missing();
    const result = new Map(map);
    if (rest.length === 0 && item === undefined) {
      result.delete(key);
      return result;
    }
    const inner = of?.kind === "struct" ? of.fields.get(key)?.shape : of?.kind === "map" ? of.of : of;
    if (of?.kind === "map" && !inner?.pointer && (inner?.kind === "struct" || inner?.kind === "list"))
      throw new PatchRefused(
        `deletes part of ${pathOf(path, key)}, which Talos does not support; delete it as a whole`,
      );
    result.set(key, deleteAt(map.get(key), inner, rest, pathOf(path, key)));
    return result;
  };
  return deleteAt(document, shape, keys, "") as TreeMap;
}

/** Only a string field, or one that Talos writes as a string, can identify an item. */
function isDeletedItem(
  item: Tree,
  { key, text }: { key: string; text: string },
  list: Shape | undefined,
): boolean {
  if (!isTreeMap(item)) return false;
  const value = item.get(key);
  if (list?.kind !== "list" || list.of.kind !== "struct") {
    return list === undefined && isLeaf(value) && value.text === text;
  }
  const field = list.of.fields.get(key);
  if (field === undefined || field.inline) return false;
  const { shape } = field;
  // An unset field is identified by the name of its zero value.
  if ((value === undefined || isNull(value)) && !shape.pointer && shape.kind === "leaf" && shape.rule.selects)
    return shape.rule.zero?.[0] === text;
  if (shape.kind === "scalar" && shape.type === "string" && !shape.pointer) return ownText(value) === text;
  if (shape.kind === "scalar" && shape.type === "duration" && isLeaf(value))
    return goDuration(value) === text;
  return (
    shape.kind === "leaf" && shape.rule.selects === true && isLeaf(value) && sameLeaf(value.text, text, shape)
  );
}

function sameLeaf(a: string, b: string, shape: Shape & { kind: "leaf" }): boolean {
  if (shape.rule.octal === true) return `0o${BigInt(integerText(a) ?? 0).toString(8)}` === b;
  return a === b || (shape.rule.fold === true && a.toLowerCase() === b);
}

function ownText(value: Tree | undefined): string {
  return value !== undefined && isLeaf(value) && !isNull(value) ? value.text : "";
}

function showPath(keys: readonly string[]): string {
  return keys.length === 0
    ? "the document"
    : keys.reduce((path, key) => (key.startsWith("[") ? `${path}[]` : pathOf(path, key)), "");
}

/** The fields that identify a document, which a patch must contain to delete parts of it. */
export function checkDocumentHead(document: TreeMap): void {
  const [kind, apiVersion] = [textOf(document, "kind"), textOf(document, "apiVersion")];
  if ((kind === undefined) !== (apiVersion === undefined))
    throw new PatchRefused("deletes from a document that has only one of apiVersion and kind");
}
