/** What parts of a machine configuration mean to Talos, however they are written: equal texts for equal meanings. */
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
import { documentShape, itemShape, shapeAt, type Shape } from "./mergeRules.ts";
import { durationText, integerText, isZero, scalarText } from "./scalars.ts";

/**
 * Whether Talos treats it as unset. `{}` is unset where the type only allows a map, but a value where the section's presence counts: `tpm: {}`. `[]`, an empty
 * string, zero and false are unset in a field, but values where any type is allowed.
 */
export function isNothing(tree: Tree | undefined, shape: Shape | undefined): boolean {
  if (tree === undefined || isNull(tree)) return true;
  if (shape?.pointer === true) return false;
  switch (shape?.kind) {
    case "list":
      return isTreeList(tree) && tree.length === 0;
    case "map":
      return isTreeMap(tree) && tree.size === 0;
    case "struct":
      return isTreeMap(tree) && [...tree].every(([key, value]) => isNothing(value, shapeAt(shape, key)));
    case "scalar":
    case "leaf":
      return isZero(tree, shape);
    default:
      return false;
  }
}

/** Whether a key's value is unset. In a map with arbitrary keys the key's presence counts: a label without a value. */
export function isNothingAt(tree: Tree | undefined, parent: Shape | undefined, key: string): boolean {
  if (tree === undefined || isNull(tree)) return true;
  return parent?.kind === "struct" && isNothing(tree, shapeAt(parent, key));
}

/** Whether two trees mean the same to Talos. List items may be in a different order. */
export function sameMeaning(a: Tree | undefined, b: Tree | undefined, shape?: Shape): boolean {
  return canonicalText(a, shape) === canonicalText(b, shape);
}

/**
 * One text for all trees of the same meaning.
 * @param lists `as written`: the order of list items counts, too
 */
export function canonicalText(
  tree: Tree | undefined,
  shape?: Shape,
  lists: "sorted" | "as written" = "sorted",
): string {
  if (tree === undefined || isNothing(tree, shape)) return "null";
  if (isTreeList(tree)) {
    const of = itemShape(shape);
    const items = tree.filter((item) => !isNull(item)).map((item) => canonicalItem(item, of, lists));
    return `[${(lists === "sorted" ? items.sort() : items).join(",")}]`;
  }
  if (!isTreeMap(tree)) return JSON.stringify(scalarMeaning(tree, shape));
  const entries = [...tree]
    .filter(([key, value]) => !isNothingAt(value, shape, key))
    .map(([key, value]) => `${JSON.stringify(key)}:${canonicalItem(value, shapeAt(shape, key), lists)}`);
  return `{${entries.sort().join(",")}}`;
}

/** A list item counts even if it is empty. */
function canonicalItem(tree: Tree, shape: Shape | undefined, lists: "sorted" | "as written"): string {
  const text = canonicalText(tree, shape, lists);
  return text === "null" && isLeaf(tree) ? JSON.stringify(scalarMeaning(tree, shape)) : text;
}

/** One text for all machine configurations of the same meaning: comments, the order of keys and notations don't count. */
export function configMeaning(documents: readonly TreeMap[]): string {
  const meanings = documents.map((document) =>
    canonicalText(document, documentShape(textOf(document, "kind") ?? ""), "as written"),
  );
  return meanings.sort().join("\n");
}

/** A scalar's meaning, as one text for all notations: `0o644` and `420`, `5m` and `5m0s`. */
function scalarMeaning(leaf: Leaf, shape?: Shape): string {
  const { text, plain } = leaf;
  if (isNull(leaf)) return "";
  if (shape?.kind === "scalar") return scalarText(leaf, shape.type);
  if (shape?.kind === "leaf" && shape.rule.fold === true) return text.toLowerCase();
  if (shape?.kind === "leaf" && shape.rule.number === true) return integerText(text) ?? text;
  if (shape !== undefined && shape.kind !== "any") return text;
  if (plain && /^(?:true|false)$/i.test(text)) return text.toLowerCase();
  const number = plain ? integerText(text) : undefined;
  return number ?? (shape === undefined ? durationText(text) : undefined) ?? text;
}
