/** JSON patches (RFC 6902), which Talos takes for configurations of a single document. */
import { isLeaf, isTreeList, isTreeMap, sameMeaning, textOf, type Tree, type TreeMap } from "./configTree.ts";

/** What a patch asks for and the configuration does not have. */
export class PatchMisfit extends Error {
  override readonly name = "PatchMisfit";
}

type Change = (parent: Tree, key: string, path: string) => Tree;

/** A document with the operations done, in their order. */
export function applyJsonPatch(document: TreeMap, operations: readonly Tree[]): TreeMap {
  const result = operations.reduce<Tree>(applyOne, document);
  if (!isTreeMap(result)) throw new PatchMisfit("leaves no machine configuration");
  return result;
}

function applyOne(document: Tree, operation: Tree): Tree {
  const [op = "", path, from] = ["op", "path", "from"].map((key) => textOf(operation, key));
  if (path === undefined) throw new PatchMisfit("has an operation without a path");
  const value = isTreeMap(operation) ? operation.get("value") : undefined;
  const given = (): Tree => {
    if (value === undefined) throw new PatchMisfit(`${op} ${path} has no value`);
    return value;
  };
  switch (op) {
    case "add":
      return change(document, path, adding(given()));
    case "remove":
      return change(document, path, removing);
    case "replace":
      find(document, path);
      return change(document, path, replacing(given()));
    case "copy":
    case "move": {
      if (from === undefined) throw new PatchMisfit(`${op} ${path} does not say from where`);
      const moved = find(document, from);
      return change(op === "move" ? change(document, from, removing) : document, path, adding(moved));
    }
    case "test":
      if (!sameMeaning(find(document, path), value))
        throw new PatchMisfit(`test ${path} fails: another value is there`);
      return document;
    default:
      throw new PatchMisfit(`has the operation "${op}"; there are add, remove, replace, move, copy and test`);
  }
}

/** The keys of a JSON pointer. */
export function pointerKeys(path: string): string[] {
  return path
    .split("/")
    .slice(1)
    .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function child(tree: Tree | undefined, key: string): Tree | undefined {
  if (isTreeMap(tree)) return tree.get(key);
  return isTreeList(tree) && /^\d+$/.test(key) ? tree[Number(key)] : undefined;
}

function find(document: Tree, path: string): Tree {
  const found = pointerKeys(path).reduce<Tree | undefined>(child, document);
  if (found === undefined) throw new PatchMisfit(`${path} is not there`);
  return found;
}

function change(document: Tree, path: string, make: Change): Tree {
  const into = (tree: Tree, keys: readonly string[]): Tree => {
    const [key = "", ...rest] = keys;
    if (rest.length === 0) return make(tree, key, path);
    const inner = child(tree, key);
    if (inner === undefined || isLeaf(inner)) throw new PatchMisfit(`${path} is not there`);
    return replacing(into(inner, rest))(tree, key, path);
  };
  return into(document, pointerKeys(path));
}

const adding =
  (value: Tree): Change =>
  (parent, key, path) => {
    if (isTreeMap(parent)) return new Map(parent).set(key, value);
    const at = isTreeList(parent) ? (key === "-" ? parent.length : Number(key)) : NaN;
    if (!isTreeList(parent) || !(at >= 0 && at <= parent.length))
      throw new PatchMisfit(`${path} is no place to add to`);
    return parent.toSpliced(at, 0, value);
  };

const replacing =
  (value: Tree): Change =>
  (parent, key) =>
    isTreeMap(parent)
      ? new Map(parent).set(key, value)
      : (parent as readonly Tree[]).with(Number(key), value);

const removing: Change = (parent, key, path) => {
  if (child(parent, key) === undefined) throw new PatchMisfit(`${path} is not there`);
  if (isTreeMap(parent)) return new Map([...parent].filter(([name]) => name !== key));
  return (parent as readonly Tree[]).toSpliced(Number(key), 1);
};
