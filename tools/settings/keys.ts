import {
  anyName,
  joinPath,
  jsonSchemaOfSettings,
  valueSchema,
  type JsonSchema,
} from "../../settings/jsonSchema.ts";
import { examples } from "./texts.ts";
import { inlineYaml } from "./inline.ts";

/** A key of a stack file, with the keys below it. */
export interface Key {
  name: string;
  /** From the top, lists with brackets: `cluster.nodes[].address`. */
  path: string;
  description: string;
  required: boolean;
  /** The default; undefined if there is none, and for a section, whose keys have their own defaults. */
  byDefault: unknown;
  /** Example value, for a key with neither a default nor keys below it. */
  example: unknown;
  type: string;
  /** Whether the value is a list of entries with the keys below. */
  list: boolean;
  /** The keys below. There are several sets if the value of one key determines the others. */
  variants: Variant[];
}

/** A set of keys that belong together. */
export interface Variant {
  /** Such as `strategy: chroot`; undefined if there is only one set. */
  when: string | undefined;
  keys: Key[];
}

/** Every top-level key of a stack file, in schema order. */
export function settingsKeys(schema: JsonSchema = jsonSchemaOfSettings()): Key[] {
  return keysOf(schema, "");
}

/** Every key, including nested ones. */
export function allKeys(keys: Key[]): Key[] {
  return keys.flatMap((key) => [key, ...key.variants.flatMap((variant) => allKeys(variant.keys))]);
}

function keysOf(schema: JsonSchema, parent: string): Key[] {
  return Object.entries(schema.properties ?? {}).map(([name, child]) =>
    keyOf(name, joinPath(parent, name), child, schema.required?.includes(name) ?? false),
  );
}

function keyOf(name: string, path: string, schema: JsonSchema, required: boolean): Key {
  const inner = schema.items ?? schema;
  const list = schema.items !== undefined;
  const variants = variantsOf(inner, list ? `${path}[]` : path);
  const section = variants.length > 0 && !list;
  return {
    name,
    path,
    required,
    list,
    variants,
    description: schema.description ?? "",
    byDefault: section ? undefined : schema.default,
    example: examples[path] ?? schema.const,
    type: typeOf(schema),
  };
}

function variantsOf(schema: JsonSchema, path: string): Variant[] {
  const byName = valueSchema(schema);
  // One entry represents all: users choose NAME.
  if (byName?.properties !== undefined)
    return [{ when: undefined, keys: [keyOf(anyName, joinPath(path, anyName), byName, false)] }];
  if (schema.properties !== undefined) return [{ when: undefined, keys: keysOf(schema, path) }];
  const sections = alternatives(schema).filter(({ properties }) => properties !== undefined);
  return sections.map((section) => ({ when: whenOf(section), keys: keysOf(section, path) }));
}

function alternatives(schema: JsonSchema): JsonSchema[] {
  return schema.anyOf ?? schema.oneOf ?? [];
}

/** The key with a fixed value distinguishes the alternatives. */
function whenOf({ properties = {} }: JsonSchema): string | undefined {
  const [name, schema] = Object.entries(properties).find(([, { const: fixed }]) => fixed !== undefined) ?? [];
  return name === undefined ? undefined : `${name}: ${inlineYaml(schema?.const)}`;
}

/** Describes the type of a value. */
function typeOf(schema: JsonSchema): string {
  if (schema.const !== undefined) return `\`${inlineYaml(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(", ");
  if (schema.items !== undefined) return typeOf(schema.items) === "string" ? "strings" : "list";
  const types = Array.isArray(schema.type) ? schema.type : alternatives(schema).map(typeOf);
  if (types.length > 0) return [...new Set(types.map(simpleType))].join(", ");
  if (
    schema.type === "integer" &&
    (schema.minimum ?? 0) >= 0 &&
    schema.maximum !== undefined &&
    schema.maximum < Number.MAX_SAFE_INTEGER
  )
    return `${schema.minimum ?? 0}–${schema.maximum}`;
  return simpleType(schema.type ?? "any");
}

function simpleType(type: string | string[]): string {
  return type === "object" ? "map" : String(type);
}
