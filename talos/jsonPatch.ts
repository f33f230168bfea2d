/** JSON patches (RFC 6902), which Talos accepts for single-document configurations, applied like the library that Talos uses. */
import { isLeaf, isNull, isTreeList, isTreeMap, textOf, type Tree, type TreeMap } from "./configTree.ts";
import { jsonValue, sameJson } from "./jsonForm.ts";
import { PatchRefused } from "./patchRefused.ts";

type Change = (parent: Tree, key: string, path: string) => Tree;

const NULL: Tree = { text: "null", plain: true };
const YAML_NULL: Tree = { text: "null", plain: true };

/**
 * Applies the operations to a document in its JSON form, in order.
 * @param json whether the patch is written in JSON: only there a `test` finds null where there is nothing
 */
export function applyJsonPatch(document: TreeMap, operations: readonly Tree[], json: boolean): TreeMap {
  const result = operations.reduce<Tree>((tree, operation) => applyOne(tree, operation, json), document);
  if (!isTreeMap(result)) throw new PatchRefused("does not result in a machine configuration");
  return result;
}

function applyOne(document: Tree, operation: Tree, json: boolean): Tree {
  const [op = "", named, from] = ["op", "path", "from"].map((key) => textOf(operation, key));
  const given = isTreeMap(operation) ? operation.get("path") : undefined;
  // The empty path is the document itself.
  const path = named ?? (given !== undefined && isLeaf(given) && !given.plain ? "" : undefined);
  if (path === undefined) throw new PatchRefused("has an operation without a path");
  const value = isTreeMap(operation) ? operation.get("value") : undefined;
  const wanted = (): Tree => {
    if (value === undefined) throw new PatchRefused(`${op} ${path} has no value`);
    // The library distinguishes a null from YAML from one from JSON.
    return !json && isNull(value) ? YAML_NULL : jsonValue(value);
  };
  switch (op) {
    case "add":
      return changeAt(document, path, adding(wanted()));
    case "remove":
      return changeAt(document, path, removing);
    case "replace":
      return path === "" ? wanted() : changeAt(document, path, replacing(wanted()));
    case "copy":
    case "move": {
      if (from === undefined) throw new PatchRefused(`${op} ${path} has no from`);
      const moved = valueAt(document, from);
      if (moved === undefined && op === "move") throw new PatchRefused(`${from} does not exist`);
      return changeAt(
        op === "move" ? changeAt(document, from, removing) : document,
        path,
        adding(moved ?? NULL),
      );
    }
    case "test":
      if (!passesTest(valueAt(document, path), value, json))
        throw new PatchRefused(`test ${path} fails: the value is different`);
      return document;
    default:
      throw new PatchRefused(
        `has the unknown operation "${op}"; use add, remove, replace, move, copy or test`,
      );
  }
}

function isEmptySection(tree: Tree, lists: boolean): boolean {
  return (isTreeMap(tree) && tree.size === 0) || (lists && isTreeList(tree) && tree.length === 0);
}

function passesTest(found: Tree | undefined, value: Tree | undefined, json: boolean): boolean {
  // The library also treats that null as an empty map or list.
  if (found === YAML_NULL)
    return !json && value !== undefined && (isNull(value) || isEmptySection(value, false));
  if (found !== undefined && value !== undefined && isNull(value) && isEmptySection(found, true))
    return !json;
  if (found !== undefined && !isNull(found)) return sameJson(found, value && jsonValue(value));
  return value === undefined || (json && isNull(value));
}

/** The keys of a JSON pointer. */
export function pointerKeys(path: string): string[] {
  return path
    .split("/")
    .slice(1)
    .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The index of an item; negative ones count from the end. */
function indexIn(list: readonly Tree[], key: string, end: number): number | undefined {
  if (!/^[-+]?\d+$/.test(key)) return undefined;
  const at = Number(key) < 0 ? Number(key) + end : Number(key);
  return at >= 0 && at < end ? at : undefined;
}

function childOf(tree: Tree | undefined, key: string): Tree | undefined {
  if (isTreeMap(tree)) return tree.get(key);
  if (!isTreeList(tree)) return undefined;
  const at = indexIn(tree, key, tree.length);
  return at === undefined ? undefined : tree[at];
}

/** The value at a path; undefined if the last key is missing. */
function valueAt(document: Tree, path: string): Tree | undefined {
  if (path === "") return document;
  const keys = pointerKeys(path);
  const last = keys.pop() ?? "";
  const parent = keys.reduce<Tree | undefined>(childOf, document);
  if (parent === undefined || isLeaf(parent)) throw new PatchRefused(`${path} does not exist`);
  const found = childOf(parent, last);
  if (found === undefined && isTreeList(parent)) throw new PatchRefused(`${path} does not exist`);
  return found;
}

function changeAt(document: Tree, path: string, make: Change): Tree {
  if (!path.includes("/")) throw new PatchRefused(`"${path}" is not a path: it must start with /`);
  const into = (tree: Tree, keys: readonly string[]): Tree => {
    const [key = "", ...rest] = keys;
    if (rest.length === 0) return make(tree, key, path);
    const inner = childOf(tree, key);
    if (inner === undefined || isLeaf(inner) || isNull(inner))
      throw new PatchRefused(`${path} does not exist`);
    return replacing(into(inner, rest))(tree, key, path);
  };
  return into(document, pointerKeys(path));
}

const adding =
  (value: Tree): Change =>
  (parent, key, path) => {
    if (isTreeMap(parent)) return new Map(parent).set(key, value);
    if (isTreeList(parent)) {
      const at = key === "-" ? parent.length : indexIn(parent, key, parent.length + 1);
      if (at !== undefined) return parent.toSpliced(at, 0, value);
    }
    throw new PatchRefused(`cannot add to ${path}`);
  };

const replacing =
  (value: Tree): Change =>
  (parent, key, path) => {
    if (isTreeMap(parent)) return new Map(parent).set(key, value);
    const at = isTreeList(parent) ? indexIn(parent, key, parent.length) : undefined;
    if (!isTreeList(parent) || at === undefined) throw new PatchRefused(`${path} does not exist`);
    return parent.with(at, value);
  };

const removing: Change = (parent, key, path) => {
  if (childOf(parent, key) === undefined) throw new PatchRefused(`${path} does not exist`);
  if (isTreeMap(parent)) return new Map([...parent].filter(([name]) => name !== key));
  const list = parent as readonly Tree[];
  return list.toSpliced(indexIn(list, key, list.length) ?? 0, 1);
};
