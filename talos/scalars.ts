/** What scalars of a machine configuration mean to Go: by the type of their field or, without one, as YAML reads them. */
import { isLeaf, isNull, isTreeList, isTreeMap, type Leaf, type Tree } from "./configTree.ts";
import { isFloat, isInteger, isTimestamp } from "./goYamlScalar.ts";
import type { Scalar, Shape } from "./mergeRules.ts";

export type YamlType = "map" | "list" | "null" | "bool" | "int" | "float" | "timestamp" | "string";

/** The type that Go's YAML library gives an untyped value. */
export function yamlType(tree: Tree): YamlType {
  if (isTreeMap(tree)) return "map";
  if (isTreeList(tree)) return "list";
  const { text, plain } = tree;
  if (!plain) return "string";
  if (isNull(tree)) return "null";
  if (/^(?:true|True|TRUE|false|False|FALSE)$/.test(text)) return "bool";
  if (isInteger(text)) return "int";
  if (/^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$/.test(text)) return "float";
  if (/^[-+.\d]/.test(text) && isFloat(text.replaceAll("_", ""))) return "float";
  return isTimestamp(text) ? "timestamp" : "string";
}

/** Go's IsZero: unset, or a zero value. A pointer's target never is. */
export function isZero(tree: Tree | undefined, shape: Shape | undefined): boolean {
  if (tree === undefined || isNull(tree)) return true;
  if (shape?.pointer === true) return false;
  switch (shape?.kind) {
    case "scalar":
      return isLeaf(tree) && isZeroScalar(tree, shape.type);
    case "leaf": {
      if (!isLeaf(tree)) return false;
      const { zero = [], fold, empty, octal } = shape.rule;
      if (tree.text === "") return empty !== true;
      if (octal === true) return integerText(tree.text) === "0";
      if (shape.name === "v1alpha1.DiskSize") return sizeInBytes(tree.text) === 0;
      return (
        zero.includes(tree.text) ||
        (fold === true && zero.some((text) => equalsIgnoringCase(text, tree.text)))
      );
    }
    case "struct":
      return (
        isTreeMap(tree) && [...tree].every(([key, value]) => isZero(value, shape.fields.get(key)?.shape))
      );
    case "map":
      return shape.filled && isTreeMap(tree) && tree.size === 0;
    case "list":
      return false;
    default: {
      if (!isLeaf(tree)) return false;
      const type = yamlType(tree);
      if (type === "string") return tree.text === "";
      return (type === "int" || type === "float" || type === "bool") && isZeroScalar(tree, type);
    }
  }
}

function equalsIgnoringCase(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function isZeroScalar(leaf: Leaf, type: Scalar): boolean {
  const text = scalarText(leaf, type);
  return text === "" || (type !== "string" && /^(?:0|false|-0|0s)$/.test(text));
}

/** A scalar as one text for all notations in a field of the type. */
export function scalarText(leaf: Leaf, type: Scalar): string {
  const { text } = leaf;
  if (isNull(leaf)) return "";
  switch (type) {
    case "string":
      return text;
    case "bool":
      return /^(?:true|yes|on|y)$/i.test(text) ? "true" : /^(?:false|no|off|n)$/i.test(text) ? "false" : text;
    case "int":
      return integerText(text) ?? text;
    case "float": {
      const number = Number(text.replaceAll("_", ""));
      return text === "" || Number.isNaN(number) ? text : String(number);
    }
    case "duration":
      return durationText(text) ?? text;
  }
}

/** An integer in digits, of any size: `0x10`, `0o20`, `020` and `16` are 16. Undefined if invalid. */
export function integerText(text: string): string | undefined {
  if (!isInteger(text)) return undefined;
  const bare = text.replaceAll("_", "");
  const digits = bare.replace(/^[-+]/, "");
  const value = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits}` : digits);
  return String(bare.startsWith("-") ? -value : value);
}

const NANOSECONDS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** A duration in seconds: `5m`, `5m0s` and `300s` are `300s`. Undefined if invalid. */
export function durationText(text: string): string | undefined {
  const total = nanoseconds(text);
  return total === undefined ? undefined : `${decimal(total, 9)}s`;
}

/** As Go's time.ParseDuration: what is less than a nanosecond is cut off. */
function nanoseconds(text: string): bigint | undefined {
  const match =
    /^([-+]?)((?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))*)$/.exec(
      text,
    );
  if (match === null) return text === "0" ? 0n : undefined;
  const [, sign = "", parts = ""] = match;
  const total = [...parts.matchAll(/(\d*)(\.\d*)?([a-zµμ]+)/g)].reduce(
    (sum, [, whole = "", fraction = "", unit = ""]) => {
      const each = NANOSECONDS[unit] ?? 0;
      return sum + BigInt(whole) * BigInt(each) + BigInt(Math.trunc(Number(`0${fraction}`) * each));
    },
    0n,
  );
  return sign === "-" ? -total : total;
}

/** A number of units of 10^-digits: `1500` with three digits is `1.5`. */
function decimal(value: bigint, digits: number): string {
  const text = String(value < 0n ? -value : value).padStart(digits + 1, "0");
  const fraction = digits === 0 ? "" : text.slice(-digits).replace(/0+$/, "");
  const whole = text.slice(0, text.length - digits);
  return `${value < 0n ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

/** The bytes of a unit in any case, such as `kB`, `KiB` or `g`; undefined for others (github.com/dustin/go-humanize, ParseBytes). */
export function unitBytes(unit: string): number | undefined {
  const match = /^(?:([kmgtpe])(i?))?b?$/i.exec(unit);
  if (match === null) return undefined;
  const [, letter = "", binary = ""] = match;
  return (binary === "" ? 1000 : 1024) ** " kmgtpe".indexOf(letter.toLowerCase() || " ");
}

/** The bytes of a size such as `100 GB` or `1,024`, rounded down as ParseBytes does; undefined if invalid. */
export function sizeInBytes(text: string): number | undefined {
  const [, digits = "", unit = ""] = /^([\d.,]*)\s*([a-z]*)$/i.exec(text) ?? [];
  const bytes = Number(digits.replaceAll(",", "")) * (unitBytes(unit) ?? NaN);
  return digits === "" || !Number.isFinite(bytes) ? undefined : Math.floor(bytes);
}

/** As Go's Duration.String writes it: 5m0s, 1.5ms. */
export function goDuration(leaf: Leaf): string {
  const total = nanoseconds(leaf.text);
  if (total === undefined) return leaf.text;
  const [sign, size] = total < 0n ? ["-", -total] : ["", total];
  if (size === 0n) return "0s";
  if (size < 1_000n) return `${sign}${size}ns`;
  if (size < 1_000_000n) return `${sign}${decimal(size, 3)}µs`;
  if (size < 1_000_000_000n) return `${sign}${decimal(size, 6)}ms`;
  const minutes = size / 60_000_000_000n;
  const seconds = `${decimal(size % 60_000_000_000n, 9)}s`;
  if (minutes === 0n) return `${sign}${seconds}`;
  return `${sign}${minutes < 60n ? "" : `${minutes / 60n}h`}${minutes % 60n}m${seconds}`;
}
