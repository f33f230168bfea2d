import { z } from "zod";
import { nearest } from "../talos/nearest.ts";

/** The known key that a person most likely meant by an unknown one: the same but for case, or one edit away. */
export function meantKey(schema: z.ZodType, path: readonly PropertyKey[], key: string): string | undefined {
  return nearest(knownKeys(schema, path), key);
}

/** The keys of the section at a path; none where the path leads to something else. */
function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  const inner = unwrapped(schema);
  if (inner instanceof z.ZodUnion)
    return inner.options.flatMap((option) => knownKeys(option as z.ZodType, path));
  const [first, ...rest] = path;
  if (inner instanceof z.ZodArray) return knownKeys(inner.element as z.ZodType, rest);
  // Names in a mapping are anybody's; what is below them is known.
  if (inner instanceof z.ZodRecord)
    return first === undefined ? [] : knownKeys(inner.valueType as z.ZodType, rest);
  if (!(inner instanceof z.ZodObject)) return [];
  if (first === undefined) return Object.keys(inner.shape);
  const child = Object.entries(inner.shape).find(([name]) => name === first);
  return child === undefined ? [] : knownKeys(child[1] as z.ZodType, rest);
}

function unwrapped(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)
    return unwrapped(schema.unwrap() as z.ZodType);
  return schema instanceof z.ZodPipe ? unwrapped(schema.in as z.ZodType) : schema;
}
