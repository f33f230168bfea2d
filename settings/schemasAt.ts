import { z } from "zod";

/** The schemas of the value at a path: several for a union, none if the path does not exist. */
export function schemasAt(schema: z.ZodType, path: readonly PropertyKey[]): z.ZodType[] {
  const inner = unwrapped(schema);
  if (inner instanceof z.ZodUnion)
    return inner.options.flatMap((option) => schemasAt(option as z.ZodType, path));
  const [first, ...rest] = path;
  if (first === undefined) return [inner];
  if (inner instanceof z.ZodArray) return schemasAt(inner.element as z.ZodType, rest);
  // A mapping may have any name; the schema below it is known.
  if (inner instanceof z.ZodRecord) return schemasAt(inner.valueType as z.ZodType, rest);
  if (!(inner instanceof z.ZodObject)) return [];
  const child = Object.entries(inner.shape).find(([name]) => name === first);
  return child === undefined ? [] : schemasAt(child[1] as z.ZodType, rest);
}

function unwrapped(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)
    return unwrapped(schema.unwrap() as z.ZodType);
  return schema instanceof z.ZodPipe ? unwrapped(schema.in as z.ZodType) : schema;
}
