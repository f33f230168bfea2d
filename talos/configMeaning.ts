/** What parts of a machine configuration mean to Talos, however they are written: equal texts for equal meanings. */
import { isLeaf, isNull, isTreeList, isTreeMap, type Leaf, type Tree } from "./configTree.ts";
import { itemShape, shapeAt, type Shape } from "./mergeRules.ts";
import { durationText, integerText, isZero, scalarText } from "./scalars.ts";

/**
 * Says nothing to Talos. `{}` is nothing where the type has only room for a map, and a value where the section being there counts: `tpm: {}`. `[]`, an
 * empty text, zero and false are nothing in a field, and values where anything may stand.
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

/** Is the value of a key nothing? In a map of any keys it is something that the key is there: a label without a value. */
export function isNothingAt(tree: Tree | undefined, parent: Shape | undefined, key: string): boolean {
  if (tree === undefined || isNull(tree)) return true;
  return parent?.kind === "struct" && isNothing(tree, shapeAt(parent, key));
}

/** Do two trees say the same to Talos? Items of lists may stand in another order. */
export function sameMeaning(a: Tree | undefined, b: Tree | undefined, shape?: Shape): boolean {
  return canonicalText(a, shape) === canonicalText(b, shape);
}

/** One text for all trees of the same meaning. */
export function canonicalText(tree: Tree | undefined, shape?: Shape): string {
  if (tree === undefined || isNothing(tree, shape)) return "null";
  if (isTreeList(tree)) {
    const of = itemShape(shape);
    const items = tree.filter((item) => !isNull(item));
    return `[${items
      .map((item) => canonicalItem(item, of))
      .sort()
      .join(",")}]`;
  }
  if (!isTreeMap(tree)) return JSON.stringify(scalarMeaning(tree, shape));
  const entries = [...tree]
    .filter(([key, value]) => !isNothingAt(value, shape, key))
    .map(([key, value]) => `${JSON.stringify(key)}:${canonicalItem(value, shapeAt(shape, key))}`);
  return `{${entries.sort().join(",")}}`;
}

/** What is there is there, even if it is empty. */
function canonicalItem(tree: Tree, shape: Shape | undefined): string {
  const text = canonicalText(tree, shape);
  return text === "null" && isLeaf(tree) ? JSON.stringify(scalarMeaning(tree, shape)) : text;
}

/** What a scalar means, as one text for all ways to write it: `0o644` and `420`, `5m` and `5m0s`. */
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
