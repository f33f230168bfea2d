/**
 * How Talos merges machine configurations: the types of its machinery, for each line that has rules of its own. The table is generated from those types
 * (`npm run rules`), so nothing here is known of a single field.
 */
import generated from "./mergeRules.json" with { type: "json" };

/** A release line of Talos whose machinery the table has. */
export type Line = "v1.13" | "v1.14";

/** Knows all documents; older lines know fewer. */
export const NEWEST_LINE: Line = "v1.14";

/** How the values of a type are merged that are read from one scalar. */
export interface LeafRule {
  /** `set`: a value replaces another; `always`: nothing does, too; `once`, `never`: Talos refuses; `url`: part by part; `size`: a percentage does not replace bytes. */
  readonly merge: "set" | "always" | "once" | "never" | "url" | "size";
  /** Texts that mean nothing is set. */
  readonly zero?: readonly string[];
  /** Those texts may be in upper case. */
  readonly fold?: boolean;
  /** An empty text is a value. */
  readonly empty?: boolean;
  /** A plain number for Go: in a pointer, zero is a value. */
  readonly basic?: boolean;
  /** Talos writes it as a number. */
  readonly number?: boolean;
  /** An item of a list can be deleted by it. */
  readonly selects?: boolean;
  /** By its octal digits. */
  readonly octal?: boolean;
}

/** How a list is merged whose items are told apart. */
export interface ItemsRule {
  /** Fields that tell an item; the first that is set counts. */
  readonly by: readonly string[];
  /** By what tells an item: fields of it that no other value equals. */
  readonly never?: Readonly<Record<string, readonly string[]>>;
  /** Items without any are the same. */
  readonly empty?: boolean;
  readonly then: "merge" | "replace";
  /** Of several that fit, the last is meant. */
  readonly last?: boolean;
  /** An item meets those of its own patch, too. */
  readonly own?: boolean;
}

export interface Field {
  readonly shape: Shape;
  /** A patch's value takes the place of the one that is there. */
  readonly replace: boolean;
  /** Talos does not write it where it is empty. */
  readonly omitEmpty: boolean;
  /** Talos does not write it where it is not there, but writes an empty list. */
  readonly omitNil: boolean;
  /** Comes from an embedded type: delete selectors do not see it in items. */
  readonly inline: boolean;
}

interface Pointed {
  /** Nothing and an empty value differ. */
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
        /** A patch's values are taken as they are. */
        readonly copy: boolean;
        /** An empty map is none. */
        readonly filled: boolean;
      }
    | { readonly kind: "struct"; readonly fields: ReadonlyMap<string, Field> }
  );

/** A kind of document. */
export interface DocumentRule {
  readonly shape: Shape;
  readonly apiVersions: readonly string[];
  /** Told from others of its kind by its name. */
  readonly named: boolean;
  /** Kinds that cannot stand beside it, with the same name if it has one. */
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
  /** Types that are the same in all lines that have them. */
  readonly types: Readonly<Record<string, Definition>>;
}

const table = generated as unknown as Table;
const shapes = new Map<string, Shape>();
const documents = new Map<string, DocumentRule | undefined>();

/** The lines that the table has. */
const LINES = Object.keys(table.lines) as Line[];

/** What a line knows of a kind of document, the empty one being the main configuration; undefined for kinds that it does not know. */
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

/** The shape of a document's kind, of the newest line or, for kinds that are gone, of an older one. */
export function documentShape(kind: string): Shape | undefined {
  return (documentRule(kind) ?? LINES.map((line) => documentRule(kind, line)).find((rule) => rule))?.shape;
}

/** The shape of what a key leads to; undefined where the type does not know the key. */
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
