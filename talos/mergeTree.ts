/** Merges two trees as values of a type, like Talos's `merge.Merge` with the types of mergeRules.ts. */
import {
  isLeaf,
  isNull,
  isTreeList,
  isTreeMap,
  textOf,
  type Leaf,
  type Tree,
  type TreeMap,
} from "./configTree.ts";
import { PatchRefused } from "./patchRefused.ts";
import { mergeUrls } from "./mergeUrl.ts";
import type { ItemsRule, LeafRule, Shape } from "./mergeRules.ts";
import { isZero, yamlType } from "./scalars.ts";
import { itemKey } from "./configLists.ts";

type Value = Tree | undefined;

interface Where {
  readonly path: string;
  readonly replace: boolean;
}

/** Merges a patch value into another. Throws `PatchRefused` if Talos refuses. */
export function mergeTree(base: Value, patch: Value, shape: Shape | undefined, path: string): Value {
  return merge(base, patch, shape, { path, replace: false });
}

function merge(base: Value, patch: Value, shape: Shape | undefined, where: Where): Value {
  if (shape === undefined) return mergeUntyped(base, patch, where);
  if (shape.pointer) {
    if (isAbsent(patch)) return base;
    if (isAbsent(base)) return patch;
    // A pointer's target is a value even if it is zero.
    if (shape.kind === "scalar" || (shape.kind === "leaf" && shape.rule.basic)) return patch;
  }
  switch (shape.kind) {
    case "scalar":
      if (shape.type === "bool") return isAbsent(patch) ? undefined : patch;
      return isZero(patch, shape) ? (base ?? patch) : patch;
    case "leaf":
      return mergeLeaves(base, patch, shape.rule, shape, where);
    case "list":
      return mergeLists(base, patch, shape, where);
    case "map":
      return mergeMaps(base, patch, shape, where);
    case "struct":
      return mergeStructs(base, patch, shape, where);
    case "any":
      return isAbsent(patch) ? base : isAbsent(base) ? patch : mergeAny(base, patch, where.path);
  }
}

/** In Go's terms: missing, or null. */
function isAbsent(tree: Value): tree is undefined {
  return tree === undefined || isNull(tree);
}

function mergeLeaves(base: Value, patch: Value, rule: LeafRule, shape: Shape, where: Where): Value {
  const [has, sets] = [!isZero(base, shape), !isZero(patch, shape)];
  switch (rule.merge) {
    case "set":
      return sets ? patch : (base ?? patch);
    case "always":
      return patch;
    case "never":
      throw new PatchRefused(
        `cannot be merged: Talos refuses to merge a section that has ${where.path} into an existing one (delete that one first, in an earlier patch)`,
      );
    case "once":
      if (!sets) return base ?? patch;
      throw new PatchRefused(
        `cannot set ${where.path}: Talos refuses to merge that value into an existing section (delete the section first, in an earlier patch)`,
      );
    case "size":
      return !sets || (has && !isPercent(base) && isPercent(patch)) ? (base ?? patch) : patch;
    case "url":
      if (!has || !sets) return sets ? patch : (base ?? patch);
      return mergeUrls(base as Leaf, patch as Leaf, where.path);
  }
}

function isPercent(tree: Value): boolean {
  return isLeaf(tree) && tree.text.includes("%");
}

function mergeLists(base: Value, patch: Value, shape: Shape & { kind: "list" }, where: Where): Value {
  if (isAbsent(patch)) return base;
  if (!isTreeList(patch)) return patch;
  const has = isTreeList(base) ? base : [];
  if (shape.items !== undefined) return mergeItems(has, patch, shape.items, shape.of, where.path);
  return where.replace ? patch : [...has, ...patch];
}

function mergeItems(
  base: readonly Tree[],
  patch: readonly Tree[],
  rule: ItemsRule,
  of: Shape,
  path: string,
): Tree[] {
  const result = [...base];
  for (const item of patch) {
    const key = itemKey(rule, item, of);
    const among = rule.own === true ? result : result.slice(0, base.length);
    const fits = (other: Tree): boolean =>
      key !== undefined && itemKey(rule, other, of, key.by)?.text === key.text;
    const at = rule.last === true ? among.findLastIndex(fits) : among.findIndex(fits);
    if (at < 0) result.push(item);
    else if (rule.then === "replace") result[at] = item;
    else
      result[at] = merge(result[at], item, of, {
        path: `${path}[${key?.text ?? ""}]`,
        replace: false,
      }) as Tree;
  }
  return result;
}

function mergeMaps(base: Value, patch: Value, shape: Shape & { kind: "map" }, where: Where): Value {
  if (isAbsent(patch) || (shape.filled && isTreeMap(patch) && patch.size === 0)) return base ?? patch;
  if (!isTreeMap(patch) || where.replace || !isTreeMap(base)) return patch;
  const result = new Map(base);
  for (const [key, value] of patch) {
    const own = base.get(key);
    const path = `${where.path}.${key}`;
    if (shape.copy || isAbsent(own)) result.set(key, value);
    else if (shape.of.kind === "any") result.set(key, mergeAny(own, value, path));
    else result.set(key, merge(own, value, shape.of, { path, replace: false }) ?? value);
  }
  return result;
}

function mergeStructs(base: Value, patch: Value, shape: Shape & { kind: "struct" }, where: Where): Value {
  if (where.replace) return isAbsent(patch) || isZero(patch, shape) ? base : patch;
  const has = isTreeMap(base) ? base : empty;
  const sets = isTreeMap(patch) ? patch : empty;
  if (!isAbsent(patch) && !isTreeMap(patch)) return patch;
  const result = new Map<string, Tree>();
  for (const key of new Set([...has.keys(), ...sets.keys(), ...unmergeableFields(shape)])) {
    const field = shape.fields.get(key);
    const path = where.path === "" ? key : `${where.path}.${key}`;
    const value = merge(has.get(key), sets.get(key), field?.shape, {
      path,
      replace: field?.replace ?? false,
    });
    if (value !== undefined) result.set(key, value);
  }
  return isAbsent(base) && isAbsent(patch) ? base : result;
}

const empty: TreeMap = new Map();
const refusing = new WeakMap<Shape, readonly string[]>();

/** Fields that Talos refuses to merge even if neither side has them. */
function unmergeableFields(shape: Shape & { kind: "struct" }): readonly string[] {
  const known = refusing.get(shape);
  if (known !== undefined) return known;
  const keys = [...shape.fields].flatMap(([key, { shape: field, replace }]) => {
    if (field.pointer || replace) return [];
    if (field.kind === "leaf") return field.rule.merge === "never" ? [key] : [];
    return field.kind === "struct" && unmergeableFields(field).length > 0 ? [key] : [];
  });
  refusing.set(shape, keys);
  return keys;
}

/** Values without a Talos type, as YAML reads them, such as the configuration of an admission plugin. */
function mergeAny(base: Tree, patch: Tree, path: string): Tree {
  const [has, sets] = [yamlType(base), yamlType(patch)];
  if (has !== sets || has === "timestamp")
    throw new PatchRefused(`cannot set ${path}: Talos does not merge a ${sets} into a ${has}`);
  if (isTreeList(base) && isTreeList(patch)) return [...base, ...patch];
  if (isTreeMap(base) && isTreeMap(patch)) {
    const result = new Map(base);
    for (const [key, value] of patch) {
      const own = base.get(key);
      result.set(key, isAbsent(own) ? value : mergeAny(own, value, `${path}.${key}`));
    }
    return result;
  }
  return has !== "bool" && isZero(patch, undefined) ? base : patch;
}

/** A part unknown to this table: maps are merged, lists grow, strings replace. */
function mergeUntyped(base: Value, patch: Value, where: Where): Value {
  if (patch === undefined || isNull(patch)) return base ?? patch;
  if (base === undefined) return patch;
  if (isTreeMap(base) && isTreeMap(patch)) {
    const result = new Map(base);
    for (const [key, value] of patch)
      result.set(key, mergeUntyped(base.get(key), value, { ...where, path: `${where.path}.${key}` }) as Tree);
    return result;
  }
  if (isTreeList(base) && isTreeList(patch)) return [...base, ...patch];
  return isLeaf(patch) && textOf(new Map([["text", patch]]), "text") === undefined ? base : patch;
}
