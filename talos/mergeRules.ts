/**
 * How Talos merges machine configurations: its machinery's types, for each release line with different rules. The table is generated from those types (`npm run
 * rules`), so no individual field is known here.
 */
import generated from "./mergeRules.json" with { type: "json" };

/** A Talos release line whose machinery is in the table. */
export type Line = "v1.13" | "v1.14";

/** Knows all documents; older lines know fewer. */
export const NEWEST_LINE: Line = "v1.14";

/** That of the Talos provider's machinery. */
export const PROVIDER_LINE: Line = "v1.13";

/** How values of a type read from one scalar are merged. */
export interface LeafRule {
  /**
   * `set`: a value replaces another; `always`: an unset value does, too; `once`, `never`: Talos refuses; `url`: part by part; `size`: a percentage doesn't
   * replace bytes.
   */
  readonly merge: "set" | "always" | "once" | "never" | "url" | "size";
  /** Strings that mean unset. */
  readonly zero?: readonly string[];
  /** Those strings may be upper case. */
  readonly fold?: boolean;
  /** An empty string is a value. */
  readonly empty?: boolean;
  /** A plain number in Go: as a pointer, zero is a value. */
  readonly basic?: boolean;
  /** Talos writes it as a number. */
  readonly number?: boolean;
  /** A list item can be deleted by it. */
  readonly selects?: boolean;
  /** By its octal digits. */
  readonly octal?: boolean;
}

/** How a list with identifiable items is merged. */
export interface ItemsRule {
  /** Fields that identify an item; the first one that is set counts. */
  readonly by: readonly string[];
  /** By identifying field: fields of an item that never equal another value. */
  readonly never?: Readonly<Record<string, readonly string[]>>;
  /** Items without any of them are the same. */
  readonly empty?: boolean;
  readonly then: "merge" | "replace";
  /** If several match, the last one counts. */
  readonly last?: boolean;
  /** An item also merges with those of its own patch. */
  readonly own?: boolean;
}

export interface Field {
  readonly shape: Shape;
  /** A patch's value replaces the existing one. */
  readonly replace: boolean;
  /** Talos omits it if empty. */
  readonly omitEmpty: boolean;
  /** Talos omits it if absent, but writes an empty list. */
  readonly omitNil: boolean;
  /** From an embedded type: delete selectors don't see it in items. */
  readonly inline: boolean;
}

interface Pointed {
  /** Absent and empty values differ. */
  readonly pointer: boolean;
}

export type Scalar = "bool" | "string" | "int" | "float" | "duration";

/** The type of a part of the configuration. */
export type Shape = Pointed &
  (
    | { readonly kind: "any" }
    | { readonly kind: "scalar"; readonly type: Scalar }
    | { readonly kind: "leaf"; readonly name: string; readonly rule: LeafRule }
    | { readonly kind: "list"; readonly of: Shape; readonly items: ItemsRule | undefined }
    | {
        readonly kind: "map";
        readonly of: Shape;
        /** A patch's values are taken unchanged. */
        readonly copy: boolean;
        /** An empty map counts as unset. */
        readonly filled: boolean;
      }
    | { readonly kind: "struct"; readonly fields: ReadonlyMap<string, Field> }
  );

/** A kind of document. */
export interface DocumentRule {
  readonly shape: Shape;
  readonly apiVersions: readonly string[];
  /** Identified among others of its kind by its name. */
  readonly named: boolean;
  /** Kinds that can't coexist with it, under the same name if it has one. */
  readonly conflicts: readonly string[];
}

interface Definition {
  readonly fields?: Readonly<Record<string, string>>;
  readonly inline?: string;
  readonly list?: string;
  readonly items?: ItemsRule;
  readonly map?: string;
  readonly leaf?: LeafRule;
}

interface Table {
  readonly lines: Readonly<
    Record<
      Line,
      {
        readonly machinery: string;
        readonly documents: Readonly<
          Record<
            string,
            {
              readonly type: string;
              readonly apiVersions?: readonly string[];
              readonly named?: boolean;
              readonly conflicts?: readonly string[];
            }
          >
        >;
        readonly types: Readonly<Record<string, Definition>>;
      }
    >
  >;
  /** Types that are identical in all lines that have them. */
  readonly types: Readonly<Record<string, Definition>>;
}

const table = generated as unknown as Table;
const shapes = new Map<string, Shape>();
const documents = new Map<string, DocumentRule | undefined>();

/** The lines in the table. */
const LINES = Object.keys(table.lines) as Line[];

/** A line's rule for a kind of document, the empty kind being the main configuration; undefined for unknown kinds. */
export function documentRule(kind: string, line: Line = NEWEST_LINE): DocumentRule | undefined {
  const key = `${line} ${kind}`;
  const known = documents.get(key);
  if (known !== undefined || documents.has(key)) return known;
  const own = Object.hasOwn(table.lines[line].documents, kind)
    ? table.lines[line].documents[kind]
    : undefined;
  const rule = own && {
    shape: shapeOf(own.type, line),
    apiVersions: own.apiVersions ?? [],
    named: own.named ?? false,
    conflicts: own.conflicts ?? [],
  };
  documents.set(key, rule);
  return rule;
}

/** Kinds of documents that a line knows. */
export function documentKinds(line: Line): string[] {
  return Object.keys(table.lines[line].documents);
}

/** The shape of a document kind, from the newest line or, for removed kinds, an older one. */
export function documentShape(kind: string): Shape | undefined {
  return (documentRule(kind) ?? LINES.map((line) => documentRule(kind, line)).find((rule) => rule))?.shape;
}

/** The shape of a key's value; undefined if the type doesn't have the key. */
export function shapeAt(shape: Shape | undefined, key: string): Shape | undefined {
  if (shape?.kind === "struct") return shape.fields.get(key)?.shape;
  if (shape?.kind === "map") return shape.of;
  return shape?.kind === "any" ? shape : undefined;
}

/** The shape of a list's items. */
export function itemShape(shape: Shape | undefined): Shape | undefined {
  return shape?.kind === "list" ? shape.of : shape?.kind === "any" ? shape : undefined;
}

function shapeOf(reference: string, line: Line): Shape {
  const key = `${line} ${reference}`;
  let shape = shapes.get(key);
  if (shape === undefined) {
    shape = makeShape(reference, line);
    shapes.set(key, shape);
  }
  return shape;
}

function makeShape(reference: string, line: Line): Shape {
  const pointer = false;
  if (reference.startsWith("*")) return { ...shapeOf(reference.slice(1), line), pointer: true };
  if (reference.startsWith("[]"))
    return { kind: "list", pointer, of: shapeOf(reference.slice(2), line), items: undefined };
  if (reference.startsWith("{}"))
    return { kind: "map", pointer, of: shapeOf(reference.slice(2), line), copy: false, filled: false };
  if (reference === "any") return { kind: "any", pointer };
  if (!reference.includes(".") && reference !== "bytes")
    return { kind: "scalar", pointer, type: reference as Scalar };
  const definition = table.lines[line].types[reference] ?? table.types[reference];
  if (definition === undefined) throw new Error(`mergeRules.json has no ${reference} in ${line}`);
  const { leaf, list, items, map, inline, fields = {} } = definition;
  if (leaf !== undefined) return { kind: "leaf", pointer, name: reference, rule: leaf };
  if (list !== undefined) return { kind: "list", pointer, of: shapeOf(list, line), items };
  if (map !== undefined) return { kind: "map", pointer, of: shapeOf(map, line), copy: true, filled: false };
  if (inline !== undefined)
    return { kind: "map", pointer, of: shapeOf(inline, line), copy: false, filled: true };
  return { kind: "struct", pointer, fields: new Map(Object.entries(fields).map(fieldOf(line))) };
}

const fieldOf =
  (line: Line) =>
  ([name, text]: [string, string]): [string, Field] => {
    const [reference = "", ...flags] = text.split(" ");
    return [
      name,
      {
        shape: shapeOf(reference, line),
        replace: flags.includes("replace"),
        omitEmpty: flags.includes("omitempty"),
        omitNil: flags.includes("omitnil"),
        inline: flags.includes("inline"),
      },
    ];
  };
