import { z } from "zod";
import { isRecord } from "../talos/values.ts";
import { networkSchema, vipSchema } from "./network.ts";
import type { settingsSchema } from "./settingsSchema.ts";

/** A value of which any part may be absent. */
export type Given<T> = T extends readonly (infer Item)[]
  ? (Given<Item> | undefined)[]
  : T extends object
    ? { [Key in keyof T]?: Given<T[Key]> | undefined }
    : T;

/** The settings as written, without defaults and without wrongly typed parts, so that rules can check the rest. */
export type GivenSettings = Given<z.input<typeof settingsSchema>>;
export type GivenNode = NonNullable<NonNullable<NonNullable<GivenSettings["cluster"]>["nodes"]>[number]>;

/** The nodes of a stack. One that is not a mapping becomes empty, so that indexes stay right. */
export function givenNodes({ cluster }: Pick<GivenSettings, "cluster">): GivenNode[] {
  return (cluster?.nodes ?? []).map((node) => node ?? {});
}

/** A mapping to texts, such as a node's labels. */
export function givenTexts(texts: Given<Record<string, string>> | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(texts ?? {}).flatMap(([key, text]) => (text === undefined ? [] : [[key, text]])),
  );
}

/** Sections that mean nothing in part: a link without its `dhcp` would be a different link. */
const indivisible: ReadonlySet<z.ZodType> = new Set<z.ZodType>([networkSchema, vipSchema]);

/** The part of a value that has the types of its schema. The schema reports the rest. */
export function wellTyped<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): Given<z.input<Schema>> | undefined {
  return typedPart(schema, value) as Given<z.input<Schema>> | undefined;
}

function typedPart(schema: z.ZodType, value: unknown): unknown {
  if (value === undefined) return undefined;
  if (indivisible.has(schema)) return schema.safeParse(value).success ? value : undefined;
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodExactOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  )
    return typedPart(schema.unwrap() as z.ZodType, value);
  if (schema instanceof z.ZodPipe) return typedPart(schema.in as z.ZodType, value);
  if (schema instanceof z.ZodObject) {
    // A wrongly typed section still counts as present.
    const given = isRecord(value) ? value : {};
    const parts = Object.entries<z.ZodType>(schema.shape);
    return definedEntries(parts.map(([key, part]) => [key, typedPart(part, given[key])]));
  }
  if (schema instanceof z.ZodRecord) {
    if (!isRecord(value)) return undefined;
    const part = schema.valueType as z.ZodType;
    return definedEntries(Object.entries(value).map(([key, item]) => [key, typedPart(part, item)]));
  }
  if (schema instanceof z.ZodArray)
    return Array.isArray(value)
      ? value.map((item) => typedPart(schema.element as z.ZodType, item))
      : undefined;
  if (schema instanceof z.ZodUnion)
    return schema.options
      .map((option) => typedPart(option as z.ZodType, value))
      .find((part) => part !== undefined);
  if (schema instanceof z.ZodString) return typeof value === "string" ? value : undefined;
  if (schema instanceof z.ZodNumber) return typeof value === "number" ? value : undefined;
  return schema.safeParse(value).success ? value : undefined;
}

function definedEntries(entries: [string, unknown][]): Record<string, unknown> {
  return Object.fromEntries(entries.filter(([, part]) => part !== undefined));
}
