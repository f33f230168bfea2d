/**
 * Reduces this program's patches to what a configuration lacks: lists grow with every patch, and a namespace that is exempted twice stops kube-apiserver
 * (siderolabs/talos#14397).
 */
import { identifyingFields, mergeKey } from "./configLists.ts";
import { canonicalText, isNothing, sameMeaning } from "./configMeaning.ts";
import {
  configText,
  documentLabel,
  isTreeList,
  isTreeMap,
  parseConfig,
  textOf,
  treeAt,
  type Tree,
  type TreeMap,
} from "./configTree.ts";
import { documentShape, itemShape, shapeAt, type Shape } from "./mergeRules.ts";

/** The patches without what the base already has; patches left empty are dropped. */
export function dropKnownParts(base: string, patches: readonly string[]): string[] {
  const documents = parseConfig(base);
  return patches.flatMap((patch) => {
    const left = parseConfig(patch).flatMap((part) => {
      const rest = newPartOf(documents, part);
      return rest === undefined ? [] : [rest];
    });
    return left.length === 0 ? [] : [configText(left)];
  });
}

function newPartOf(documents: readonly TreeMap[], part: TreeMap): TreeMap | undefined {
  const label = documentLabel(part);
  const present = documents.find((document) => documentLabel(document) === label);
  if (present === undefined) return part;
  const shape = documentShape(textOf(part, "kind") ?? "");
  const lacking = newTree(present, part, shape, false);
  if (lacking === undefined || !isTreeMap(lacking)) return undefined;
  const rest = restateReset(present, lacking, shape) as TreeMap;
  // Keep what identifies the document.
  const head = ["apiVersion", "kind", "name"].flatMap((key): [string, Tree][] => {
    const value = treeAt(part, key);
    return value === undefined || rest.has(key) || label === "" ? [] : [[key, value]];
  });
  return new Map([...head, ...rest]);
}

function newTree(
  base: Tree | undefined,
  patch: Tree,
  shape: Shape | undefined,
  replaced: boolean,
): Tree | undefined {
  if (base === undefined || isNothing(base, shape)) return patch;
  if (sameMeaning(base, patch, shape)) return undefined;
  if (replaced) return patch;
  if (isTreeMap(base) && isTreeMap(patch)) {
    const entries = [...patch].flatMap(([key, value]): [string, Tree][] => {
      const field = shape?.kind === "struct" ? shape.fields.get(key) : undefined;
      const rest = newTree(base.get(key), value, shapeAt(shape, key), field?.replace ?? false);
      return rest === undefined ? [] : [[key, rest]];
    });
    return entries.length === 0 ? undefined : new Map(entries);
  }
  if (!isTreeList(base) || !isTreeList(patch)) return patch;
  const of = itemShape(shape);
  const items = patch.flatMap((item): Tree[] => {
    const present = base.find((other) => isSameItem(other, item, shape));
    if (present === undefined) return [item];
    // It is already there; a list that only grows would get it twice.
    if (mergeKey(shape, item) === undefined || !isTreeMap(item)) return [];
    const rest = newTree(present, item, of, shape?.kind === "list" && shape.items?.then === "replace");
    // Items are found by their identifying fields, so these must be repeated.
    return isTreeMap(rest) ? [new Map([...identifyingFields(shape, item), ...rest])] : [];
  });
  return items.length === 0 ? undefined : items;
}

/** Whether Talos treats both as the same entry. Kernel modules match whatever their parameters: the owner's stay. */
function isSameItem(a: Tree, b: Tree, list: Shape | undefined): boolean {
  const of = itemShape(list);
  if (canonicalText(a, of) === canonicalText(b, of)) return true;
  const key = mergeKey(list, b);
  if (key !== undefined) return mergeKey(list, a) === key;
  return list === kernelModules() && textOf(a, "name") === textOf(b, "name");
}

function kernelModules(): Shape | undefined {
  return ["machine", "kernel", "modules"].reduce(shapeAt, documentShape(""));
}

/** The new values, plus those that Talos would reset because a patch omits them: the install disk, if the patch sets the image. */
function restateReset(
  base: Tree | undefined,
  rest: Tree | undefined,
  shape: Shape | undefined,
): Tree | undefined {
  if (shape?.kind !== "struct" || !isTreeMap(base) || !(rest === undefined || isTreeMap(rest))) return rest;
  const result = new Map(rest);
  for (const [key, { shape: field, replace }] of shape.fields) {
    const [own, given] = [base.get(key), result.get(key)];
    if (own === undefined || replace || (field.pointer && given === undefined)) continue;
    const reset = !field.pointer && isReset(field) && given === undefined;
    const value = reset ? own : restateReset(own, given, field);
    if (value !== undefined && !(isTreeMap(value) && value.size === 0)) result.set(key, value);
  }
  return rest === undefined && result.size === 0 ? undefined : result;
}

function isReset(shape: Shape): boolean {
  return (
    (shape.kind === "scalar" && shape.type === "bool") ||
    (shape.kind === "leaf" && shape.rule.merge === "always")
  );
}
