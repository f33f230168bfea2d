/**
 * The form of a machine configuration to which Talos applies JSON patches: Talos's own output if it has already parsed the text, otherwise the text as YAML 1.1
 * reads it.
 */
import { isLeaf, isNull, isTreeList, isTreeMap, type Leaf, type Tree, type TreeMap } from "./configTree.ts";
import { isTimestamp } from "./goYamlScalar.ts";
import { itemShape, shapeAt, type Field, type Scalar, type Shape } from "./mergeRules.ts";
import { goDuration, integerText, isZero, scalarText, yamlType } from "./scalars.ts";

const NULL: Leaf = { text: "null", plain: true };
const ZERO: Leaf = { text: "0", plain: true };

/** As Talos writes what it has parsed: empty fields that it omits are gone, those that it always writes are present. */
export function asTalosWrites(tree: Tree | undefined, shape: Shape | undefined): Tree {
  const absent = tree === undefined || isNull(tree);
  if (absent && (shape === undefined || shape.pointer || shape.kind === "any")) return NULL;
  switch (shape?.kind) {
    case "scalar":
      if (absent) return scalarOf(undefined, shape.type);
      return isLeaf(tree) ? scalarOf(tree, shape.type) : tree; // Talos won't read what is not a scalar
    case "leaf":
      if (absent)
        return shape.rule.number === true ? ZERO : { text: shape.rule.zero?.[0] ?? "", plain: false };
      return shape.rule.number === true ? anyToJson(tree) : asText(tree);
    case "list":
      if (absent || !isTreeList(tree)) return absent ? [] : tree;
      return tree
        .filter((item) => !isNull(item) || shape.of.pointer || shape.of.kind === "any")
        .map((item) => asTalosWrites(item, shape.of));
    case "map":
      if (absent || !isTreeMap(tree)) return absent ? new Map<string, Tree>() : tree;
      return new Map([...tree].map(([key, value]) => [key, asTalosWrites(value, shape.of)]));
    case "struct": {
      const own = isTreeMap(tree) ? tree : new Map<string, Tree>();
      const known = [...shape.fields].flatMap(([key, field]): [string, Tree][] => {
        const value = own.get(key);
        if (isLeftOut(value, field)) return [];
        return [[key, asTalosWrites(value, field.shape)]];
      });
      const others = [...own].filter(([key]) => !shape.fields.has(key));
      return new Map([...known, ...others]);
    }
    default:
      return anyToJson(tree as Tree);
  }
}

/** Without the empty lists and maps that Talos omits when writing. */
export function withoutEmpty(tree: Tree, shape: Shape | undefined): Tree {
  if (isTreeList(tree)) return tree.map((item) => withoutEmpty(item, itemShape(shape)));
  if (!isTreeMap(tree) || shape === undefined || shape.kind === "any") return tree;
  return new Map(
    [...tree].flatMap(([key, value]): [string, Tree][] => {
      const inner = shapeAt(shape, key);
      const field = shape.kind === "struct" ? shape.fields.get(key) : undefined;
      const empty = (isTreeList(value) && value.length === 0) || (isTreeMap(value) && value.size === 0);
      if (empty && field !== undefined && isLeftOut(value, field)) return [];
      return [[key, withoutEmpty(value, inner)]];
    }),
  );
}

function isLeftOut(tree: Tree | undefined, { shape, omitEmpty, omitNil }: Field): boolean {
  return omitNil ? tree === undefined || isNull(tree) : omitEmpty && isEmpty(tree, shape);
}

function isEmpty(tree: Tree | undefined, shape: Shape): boolean {
  if (tree === undefined || isNull(tree)) return true;
  if (shape.pointer) return false;
  if (isTreeList(tree)) return tree.length === 0;
  if (isTreeMap(tree) && shape.kind === "map") return tree.size === 0;
  if (isTreeMap(tree) && shape.kind === "struct")
    return [...shape.fields].every(([key, field]) =>
      field.omitNil ? isLeftOut(tree.get(key), field) : isEmpty(tree.get(key), field.shape),
    );
  return isZero(tree, shape);
}

function scalarOf(leaf: Leaf | undefined, type: Scalar): Leaf {
  const text = leaf === undefined ? "" : scalarText(leaf, type);
  if (type === "string") return { text, plain: false };
  if (type === "bool") return { text: text === "" ? "false" : text, plain: true };
  if (type === "duration") return { text: leaf === undefined ? "0s" : goDuration(leaf), plain: false };
  return { text: text === "" ? "0" : text, plain: true };
}

/** A value that Talos writes as a string, or a section of such. */
function asText(tree: Tree): Tree {
  if (isTreeMap(tree)) return new Map([...tree].map(([key, value]) => [key, asText(value)]));
  return isTreeList(tree) ? tree.map(asText) : { text: tree.text, plain: false };
}

/** How YAML reads values of any type, converted to JSON. */
function anyToJson(tree: Tree): Tree {
  if (isTreeMap(tree)) return new Map([...tree].map(([key, value]) => [key, anyToJson(value)]));
  if (isTreeList(tree)) return tree.map(anyToJson);
  return jsonScalar(tree, yamlType(tree));
}

/** An operation's value that was written in YAML. */
export function jsonValue(tree: Tree): Tree {
  if (isTreeMap(tree)) return new Map([...tree].map(([key, value]) => [key, jsonValue(value)]));
  if (isTreeList(tree)) return tree.map(jsonValue);
  if (tree.plain && isTimestamp(tree.text)) {
    const time = new Date(tree.text.includes(":") ? tree.text : `${tree.text}T00:00:00Z`);
    if (!Number.isNaN(time.getTime()))
      return { text: time.toISOString().replace(/\.?0*Z$/, "Z"), plain: false };
  }
  return jsonScalar(tree, yamlType(tree));
}

/** A text that Talos has not yet parsed as a configuration: YAML 1.1 has more words for true and false. */
export function asYaml11(tree: Tree): Tree {
  if (isTreeMap(tree)) return new Map([...tree].map(([key, value]) => [key, asYaml11(value)]));
  if (isTreeList(tree)) return tree.map(asYaml11);
  if (!tree.plain) return tree;
  if (/^(?:y|Y|yes|Yes|YES|on|On|ON)$/.test(tree.text)) return { text: "true", plain: true };
  if (/^(?:n|N|no|No|NO|off|Off|OFF)$/.test(tree.text)) return { text: "false", plain: true };
  return jsonScalar(tree, yamlType(tree));
}

function jsonScalar(leaf: Leaf, type: ReturnType<typeof yamlType>): Leaf {
  const { text } = leaf;
  switch (type) {
    case "null":
      return NULL;
    case "bool":
      return { text: text.toLowerCase(), plain: true };
    case "int":
      return { text: integerText(text) ?? text, plain: true };
    case "float":
      return { text: floatText(text), plain: true };
    default:
      return { text, plain: false };
  }
}

/** As Go writes a float in JSON. */
function floatText(text: string): string {
  const number = Number(text.replaceAll("_", ""));
  return Number.isFinite(number) ? String(number) : text;
}

/** Equal as JSON values. */
export function sameJson(a: Tree | undefined, b: Tree | undefined): boolean {
  if (a === undefined || b === undefined || isNull(a) || isNull(b))
    return (a === undefined || isNull(a)) && (b === undefined || isNull(b));
  if (isTreeList(a))
    return isTreeList(b) && a.length === b.length && a.every((item, index) => sameJson(item, b[index]));
  if (isTreeMap(a))
    return isTreeMap(b) && a.size === b.size && [...a].every(([key, value]) => hasSameValue(b, key, value));
  return isLeaf(b) && a.text === b.text && a.plain === b.plain;
}

function hasSameValue(other: TreeMap, key: string, value: Tree): boolean {
  return other.has(key) && sameJson(value, other.get(key));
}
