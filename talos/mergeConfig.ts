/**
 * Patches put on a machine configuration, as Talos's own machinery does it: scalars replace, maps merge, lists grow, `$patch: delete` takes away. The
 * result is known before anything is sent to a node, so that it can be compared with what the node has. Held against talosctl in
 * test/lab/mergeMachinery.test.ts.
 */
import { isReplaced, mergeKey, placeOf, type Place } from "./configLists.ts";
import {
  configText,
  ConfigTextError,
  documentLabel,
  isLeaf,
  isNothing,
  isTreeList,
  isTreeMap,
  meaning,
  parseConfig,
  parseTree,
  textOf,
  type Tree,
  type TreeMap,
} from "./configTree.ts";
import { applyJsonPatch, PatchMisfit } from "./jsonPatch.ts";

/** A patch that cannot be put on a configuration. */
export class MergeError extends Error {
  override readonly name = "MergeError";
  /** Its place in the list, from 0. */
  readonly patch: number;
  readonly reason: string;

  constructor(patch: number, reason: string) {
    super(`patch ${patch + 1}: ${reason}`);
    this.patch = patch;
    this.reason = reason;
  }
}

/** A configuration with the patches on it, in their order. Throws `MergeError` for a patch that does not fit, `ConfigTextError` for a base that is no YAML. */
export function mergeConfig(base: string, patches: readonly string[]): string {
  let documents: readonly TreeMap[] = parseConfig(base);
  patches.forEach((patch, index) => {
    try {
      for (const part of parseTree(patch)) documents = withPart(documents, part);
    } catch (error) {
      if (error instanceof PatchMisfit || error instanceof ConfigTextError)
        throw new MergeError(index, error.message);
      throw error;
    }
  });
  return configText(documents);
}

const DELETE = "$patch";

/** Does a mapping of a patch say that what it stands for goes away? */
export function deletes(tree: Tree): tree is TreeMap {
  return isTreeMap(tree) && textOf(tree, DELETE) === "delete";
}

function withPart(documents: readonly TreeMap[], part: Tree): readonly TreeMap[] {
  if (isTreeList(part)) {
    const [only, ...more] = documents;
    if (only === undefined || more.length > 0) {
      throw new PatchMisfit("a JSON patch (RFC 6902) cannot be put on a configuration of several documents");
    }
    return [applyJsonPatch(only, part)];
  }
  if (!isTreeMap(part)) throw new PatchMisfit("is not a mapping, as a machine configuration is");
  const label = documentLabel(part);
  const present = documents.find((document) => documentLabel(document) === label);
  if (deletes(part)) {
    return documents.filter((document) => document !== present);
  }
  const place = textOf(part, "kind") ?? "";
  if (present === undefined) return [...documents, withoutDeletes(part) as TreeMap];
  const merged = merge(present, withoutDeletes(part), place);
  const result = afterDeletes(merged, part, place) as TreeMap;
  return documents.map((document) => (document === present ? result : document));
}

function merge(base: Tree | undefined, patch: Tree, place: Place): Tree {
  if (base === undefined) return patch;
  // An empty list empties one that is replaced; elsewhere it adds nothing.
  if (isReplaced(place) && (isTreeList(patch) || !isNothing(patch))) return patch;
  // An empty text sets a key that is new, and changes none that is there.
  if (isNothing(patch) || (isLeaf(patch) && meaning(patch) === "")) return base;
  if (isTreeMap(base) && isTreeMap(patch)) {
    const result = new Map(base);
    for (const [key, value] of patch) result.set(key, merge(base.get(key), value, placeOf(place, key)));
    return result;
  }
  if (isTreeList(base) && isTreeList(patch)) return mergeLists(base, patch, place);
  return patch;
}

function mergeLists(base: readonly Tree[], patch: readonly Tree[], place: Place): Tree[] {
  const result = [...base];
  for (const item of patch) {
    const key = mergeKey(place, item);
    const at = key === undefined ? -1 : result.findIndex((other) => mergeKey(place, other) === key);
    const present = result[at];
    if (present === undefined) result.push(item);
    else result[at] = merge(present, item, `${place}[]`);
  }
  return result;
}

/** A patch without what it deletes: that part is no content. */
function withoutDeletes(tree: Tree): Tree {
  if (isTreeList(tree)) return tree.filter((item) => !deletes(item)).map(withoutDeletes);
  if (!isTreeMap(tree)) return tree;
  return new Map(
    [...tree].filter(([, value]) => !deletes(value)).map(([key, value]) => [key, withoutDeletes(value)]),
  );
}

function afterDeletes(tree: Tree, patch: Tree, path: string): Tree {
  if (isTreeMap(patch) && isTreeMap(tree)) {
    const result = new Map(tree);
    for (const [key, value] of patch) {
      const [inner, place] = [result.get(key), placeOf(path, key)];
      if (deletes(value)) {
        if (isLeaf(inner))
          throw new PatchMisfit(
            `deletes ${place}, which is a single value; only sections and items of lists can be deleted`,
          );
        result.delete(key);
      } else if (inner !== undefined) result.set(key, afterDeletes(inner, value, place));
    }
    return result;
  }
  if (isTreeList(patch) && isTreeList(tree)) {
    let result: Tree[] = [...tree];
    for (const item of patch) {
      if (deletes(item)) result = withoutItem(result, item, path);
      else {
        const key = mergeKey(path, item);
        if (key !== undefined) {
          result = result.map((other) =>
            mergeKey(path, other) === key ? afterDeletes(other, item, `${path}[]`) : other,
          );
        }
      }
    }
    return result;
  }
  return tree;
}

// The first field beside `$patch` tells which item goes (siderolabs/talos configloader/internal/decoder/delete.go).
function withoutItem(list: readonly Tree[], item: TreeMap, path: string): Tree[] {
  const [field, value] = [...item].find(([key]) => key !== DELETE) ?? [];
  if (field === undefined || !isLeaf(value)) {
    throw new PatchMisfit(
      `deletes an item of ${path} and does not say which: give a field of it, such as its name`,
    );
  }
  const wanted = meaning(value);
  return list.filter((other) => {
    const own = isTreeMap(other) ? other.get(field) : undefined;
    return !(isLeaf(own) && meaning(own) === wanted);
  });
}
