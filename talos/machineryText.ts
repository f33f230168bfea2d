/**
 * A machine configuration as Talos's machinery writes it. The Talos provider's configurations have this form, and states contain them: a configuration that is
 * patched here stays the same text. Compared with the machinery in test/tools/mergeFuzz.test.ts.
 */
import { isLeaf, isTreeList, isTreeMap, textOf, type Tree, type TreeMap } from "./configTree.ts";
import { GoNode, GoPlain, GoStruct, marshalGoYaml, type GoValue } from "./goYaml.ts";
import { asTalosWrites } from "./jsonForm.ts";
import { documentRule, itemShape, shapeAt, type Line, type Shape } from "./mergeRules.ts";
import { sizeInBytes } from "./scalars.ts";

/** Writes documents, the main one first, each with the fields of its type in their order. */
export function machineryText(documents: readonly TreeMap[], line: Line): string {
  return [...documents.filter(isMain), ...documents.filter((document) => !isMain(document))]
    .map((document) => {
      const shape = documentRule(textOf(document, "kind") ?? "", line)?.shape;
      return marshalGoYaml(toGo(asTalosWrites(document, shape), shape));
    })
    .join("---\n");
}

function isMain(document: TreeMap): boolean {
  return textOf(document, "kind") === undefined;
}

function toGo(tree: Tree, shape: Shape | undefined): GoValue {
  if (isArgument(shape)) return argument(tree);
  if (isTreeList(tree)) return tree.map((item) => toGo(item, itemShape(shape)));
  if (isTreeMap(tree)) {
    const all = isKeyPair(shape) ? new Map<string, Tree>([["crt", NONE], ["key", NONE], ...tree]) : tree;
    const entries = [...all].map(([key, value]) => [key, toGo(value, shapeAt(shape, key))] as const);
    return shape?.kind === "struct" || isKeyPair(shape) ? new GoStruct(entries) : Object.fromEntries(entries);
  }
  if (shape?.kind === "leaf" && shape.rule.octal === true) return new GoPlain(octalText(tree.text));
  if (shape?.kind === "leaf" && shape.name === "v1alpha1.DiskSize") return diskSize(tree.text);
  return tree.plain ? new GoPlain(tree.text) : tree.text;
}

const NONE: Tree = { text: "", plain: false };

/** Talos always writes both parts: workers have no key. */
function isKeyPair(shape: Shape | undefined): boolean {
  return shape?.kind === "leaf" && shape.name === "x509.PEMEncodedCertificateAndKey";
}

function isArgument(shape: Shape | undefined): boolean {
  return shape?.kind === "leaf" && /\.ArgValue$/.test(shape.name);
}

/** An argument of a component, one text or several (siderolabs/talos `ArgValue.MarshalYAML`); an empty one is null. */
function argument(tree: Tree): GoValue {
  if (isTreeList(tree)) return tree.map((item) => new GoNode(isLeaf(item) ? item.text : ""));
  return isLeaf(tree) && tree.text !== "" ? new GoNode(tree.text) : null;
}

/** A file mode: `0o644`. */
function octalText(text: string): string {
  return /^\d+$/.test(text) ? `0o${BigInt(text).toString(8)}` : text;
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** A partition's size, in words where they are exact (siderolabs/talos `DiskSize.MarshalYAML`, with github.com/dustin/go-humanize): `100 GB`, `107374182400`. */
function diskSize(text: string): GoValue {
  const bytes = sizeInBytes(text);
  if (bytes === undefined) return text;
  const exponent = bytes < 10 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = Math.round((bytes / 1000 ** exponent) * 10) / 10;
  const words = `${value.toFixed(exponent > 0 && value < 10 ? 1 : 0)} ${UNITS[exponent] ?? ""}`;
  return bytes % 1000 === 0 && sizeInBytes(words) === bytes ? words : new GoPlain(String(bytes));
}
