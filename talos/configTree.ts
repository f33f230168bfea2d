/**
 * A machine configuration as a tree of maps, lists and strings. Scalars keep their original text, so that the output means the same to Talos: YAML versions
 * read `0644`, `1e3`, `off` and dates differently.
 */
import {
  Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  Pair,
  parseAllDocuments,
  Scalar,
  YAMLMap,
  YAMLSeq,
  type Node,
} from "yaml";

/** A scalar as written. */
export interface Leaf {
  readonly text: string;
  /** Unquoted, so that it may be a number, a boolean or null. */
  readonly plain: boolean;
}

export type TreeMap = ReadonlyMap<string, Tree>;
export type Tree = Leaf | readonly Tree[] | TreeMap;

/** An invalid machine configuration. The message contains the line number and no part of the text. */
export class ConfigTextError extends Error {
  override readonly name = "ConfigTextError";
}

export function isTreeMap(tree: Tree | undefined): tree is TreeMap {
  return tree instanceof Map;
}

export function isTreeList(tree: Tree | undefined): tree is readonly Tree[] {
  return Array.isArray(tree);
}

export function isLeaf(tree: Tree | undefined): tree is Leaf {
  return tree !== undefined && !isTreeMap(tree) && !isTreeList(tree);
}

/** A text's documents; empty ones are left out. Throws `ConfigTextError`. */
export function parseTree(text: string): Tree[] {
  const lines = new LineCounter();
  // With the failsafe schema every scalar is a string.
  const parsed = parseAllDocuments(text, { schema: "failsafe", prettyErrors: false, lineCounter: lines });
  const documents = Array.isArray(parsed) ? parsed : [];
  for (const { errors } of documents) {
    for (const { code, pos } of errors) {
      const why = code.toLowerCase().replaceAll("_", " ");
      throw new ConfigTextError(`line ${Math.max(1, lines.linePos(pos[0]).line)}: is not YAML (${why})`);
    }
  }
  return documents.flatMap((document) => {
    const budget = { nodes: 200_000 };
    const tree = document.contents === null ? undefined : toTree(document.contents, document, budget);
    return tree === undefined || isNull(tree) ? [] : [tree];
  });
}

// Nodes share their source files, and each file is queried several times.
const parsedConfigs = new Map<string, readonly TreeMap[]>();
const MAX_CACHED = 16;

/** The documents of a machine configuration, each a mapping. Throws `ConfigTextError`. */
export function parseConfig(text: string): readonly TreeMap[] {
  const known = parsedConfigs.get(text);
  if (known !== undefined) return known;
  const documents = readConfig(text);
  const oldest = parsedConfigs.keys().next();
  if (parsedConfigs.size >= MAX_CACHED && oldest.done !== true) parsedConfigs.delete(oldest.value);
  parsedConfigs.set(text, documents);
  return documents;
}

function readConfig(text: string): TreeMap[] {
  return parseTree(text).map((tree) => {
    if (!isTreeMap(tree))
      throw new ConfigTextError("line 1: is not a YAML mapping, like a machine configuration");
    return tree;
  });
}

/** Serializes documents: equal trees give equal text. */
export function configText(documents: readonly Tree[]): string {
  return documents
    .map((tree) => {
      const document = new Document(undefined, { schema: "failsafe" });
      document.contents = toYamlNode(tree);
      return document.toString({ lineWidth: 0 });
    })
    .join("---\n");
}

/** Written as null: `null`, `~` or empty. */
export function isNull(tree: Tree): boolean {
  return isLeaf(tree) && tree.plain && /^(?:~|null|Null|NULL)?$/.test(tree.text);
}

/** The value at a path of keys. */
export function treeAt(tree: Tree | undefined, ...keys: string[]): Tree | undefined {
  return keys.reduce<Tree | undefined>((inner, key) => (isTreeMap(inner) ? inner.get(key) : undefined), tree);
}

/** The string at a path of keys; undefined if there is none. */
export function textOf(tree: Tree | undefined, ...keys: string[]): string | undefined {
  const leaf = treeAt(tree, ...keys);
  return isLeaf(leaf) && leaf.text !== "" && !isNull(leaf) ? leaf.text : undefined;
}

/** A document's identity: empty for the v1alpha1 one, else its kind, plus its name if it has one. */
export function documentLabel(document: TreeMap): string {
  const [kind, name] = [textOf(document, "kind"), textOf(document, "name")];
  if (kind === undefined) return "";
  return name === undefined ? kind : `${kind}[${name}]`;
}

function toTree(node: Node, document: Document.Parsed, budget: { nodes: number }): Tree {
  if (--budget.nodes < 0) throw new ConfigTextError("line 1: has too many nested aliases");
  if (isAlias(node)) {
    const target = node.resolve(document);
    if (target === undefined) throw new ConfigTextError("line 1: has an alias without its anchor");
    return toTree(target, document, budget);
  }
  if (isSeq(node)) return node.items.map((item) => toTree(item as Node, document, budget));
  if (isMap(node)) {
    const own = new Map<string, Tree>();
    const merged: Tree[] = [];
    for (const { key, value } of node.items) {
      const name = isScalar(key) && typeof key.value === "string" ? key.value : "";
      const tree: Tree = value === null ? { text: "", plain: true } : toTree(value as Node, document, budget);
      if (name === "<<" && isScalar(key) && key.type === "PLAIN")
        merged.push(...(isTreeList(tree) ? tree : [tree]));
      else own.set(name, tree);
    }
    for (const map of merged) {
      if (isTreeMap(map)) for (const [key, value] of map) if (!own.has(key)) own.set(key, value);
    }
    return own;
  }
  const scalar = node;
  const value = scalar.value ?? "";
  return {
    text: typeof value === "string" ? value : "",
    plain: (scalar.type === "PLAIN" || scalar.type === undefined) && scalar.tag !== "tag:yaml.org,2002:str!",
  };
}

function toYamlNode(tree: Tree): Node {
  if (isTreeMap(tree)) {
    const map = new YAMLMap<Scalar, Node>();
    for (const [key, value] of tree)
      map.items.push(new Pair(toYamlScalar({ text: key, plain: !isAmbiguous(key) }), toYamlNode(value)));
    return map;
  }
  if (isTreeList(tree)) {
    const list = new YAMLSeq<Node>();
    for (const item of tree) list.items.push(toYamlNode(item));
    return list;
  }
  return toYamlScalar(tree);
}

function toYamlScalar({ text, plain }: Leaf): Scalar {
  const scalar = new Scalar(plain && text === "" ? "null" : text);
  scalar.type = plain ? "PLAIN" : text.includes("\n") ? "BLOCK_LITERAL" : "QUOTE_DOUBLE";
  return scalar;
}

/** Whether YAML, in any of its versions, would read this text as something else. */
function isAmbiguous(text: string): boolean {
  return /^(?:~|null|true|false|yes|no|on|off|y|n|[-+.\d].*|)$/i.test(text);
}
