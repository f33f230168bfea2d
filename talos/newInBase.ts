/**
 * Of our own patches only what a configuration lacks: lists grow with every patch, and a namespace that is exempted twice stops kube-apiserver
 * (siderolabs/talos#14397).
 */
import { isReplaced, mergeKey, placeOf } from "./configLists.ts";
import {
  canonical,
  configText,
  documentLabel,
  isNothing,
  isTreeList,
  isTreeMap,
  parseConfig,
  sameMeaning,
  textOf,
  treeAt,
  type Tree,
  type TreeMap,
} from "./configTree.ts";

/** The patches without what the base says already; those of which nothing is left are left out. */
export function newInBase(base: string, patches: readonly string[]): string[] {
  const documents = parseConfig(base);
  return patches.flatMap((patch) => {
    const left = parseConfig(patch).flatMap((part) => {
      const rest = newPart(documents, part);
      return rest === undefined ? [] : [rest];
    });
    return left.length === 0 ? [] : [configText(left)];
  });
}

function newPart(documents: readonly TreeMap[], part: TreeMap): TreeMap | undefined {
  const label = documentLabel(part);
  const present = documents.find((document) => documentLabel(document) === label);
  if (present === undefined) return part;
  const rest = newIn(present, part, textOf(part, "kind") ?? "");
  if (rest === undefined || !isTreeMap(rest)) return undefined;
  // What tells the document stays.
  const head = ["apiVersion", "kind", "name"].flatMap((key): [string, Tree][] => {
    const value = treeAt(part, key);
    return value === undefined || rest.has(key) || label === "" ? [] : [[key, value]];
  });
  return new Map([...head, ...rest]);
}

function newIn(base: Tree | undefined, patch: Tree, place: string): Tree | undefined {
  if (base === undefined || isNothing(base)) return patch;
  if (sameMeaning(base, patch)) return undefined;
  if (isReplaced(place)) return patch;
  if (isTreeMap(base) && isTreeMap(patch)) {
    const entries = [...patch].flatMap(([key, value]): [string, Tree][] => {
      const rest = newIn(base.get(key), value, placeOf(place, key));
      return rest === undefined ? [] : [[key, rest]];
    });
    return entries.length === 0 ? undefined : new Map(entries);
  }
  if (!isTreeList(base) || !isTreeList(patch)) return patch;
  const items = patch.flatMap((item): Tree[] => {
    const present = base.find((other) => isSameItem(other, item, place));
    if (present === undefined) return [item];
    const key = mergeKey(place, item);
    if (key === undefined || !isTreeMap(item)) return []; // it is there, and the list would only get it again
    const rest = newIn(present, item, `${place}[]`);
    return isTreeMap(rest) ? [withName(rest, item)] : [];
  });
  return items.length === 0 ? undefined : items;
}

/** Is it the same entry for Talos? A kernel module is, whatever its parameters: the owner's stay. */
function isSameItem(a: Tree, b: Tree, place: string): boolean {
  if (canonical(a) === canonical(b)) return true;
  const key = mergeKey(place, b);
  if (key !== undefined) return mergeKey(place, a) === key;
  return place === "machine.kernel.modules" && textOf(a, "name") === textOf(b, "name");
}

/** Items are merged by their names, so that has to be said again. */
function withName(rest: TreeMap, item: TreeMap): TreeMap {
  const name = item.get("name");
  return name === undefined ? rest : new Map([["name", name], ...rest]);
}
