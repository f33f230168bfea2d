import type { z } from "zod";

/**
 * Inputs that were checked, typed and with every default. A state may hold what today's check refuses, such as the digest in place of an input or an option
 * of a newer release: then the default counts, and what has none stays as it is.
 */
export function withDefaults<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  checked: Readonly<Record<string, unknown>>,
): z.output<z.ZodObject<Shape>> {
  return typedInputs(schema, checked) as z.output<z.ZodObject<Shape>>;
}

/** The same without defaults for what is not given: for inputs that take precedence over others. */
export function givenInputs<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  checked: Readonly<Record<string, unknown>>,
): Partial<z.output<z.ZodObject<Shape>>> {
  return typedInputs(schema, checked, (name) => checked[name] !== undefined) as Partial<
    z.output<z.ZodObject<Shape>>
  >;
}

function typedInputs(
  schema: z.ZodObject,
  checked: Readonly<Record<string, unknown>>,
  isWanted: (name: string) => boolean = () => true,
): Record<string, unknown> {
  const fields: Record<string, z.ZodType> = schema.shape;
  const parts = Object.entries(fields)
    .filter(([name]) => isWanted(name))
    .map(([name, field]) => {
      const given = checked[name];
      const parsed = given === undefined ? undefined : field.safeParse(given);
      if (parsed?.success === true) return [name, parsed.data] as const;
      const byDefault = field.safeParse(undefined);
      return [name, byDefault.success ? byDefault.data : given] as const;
    });
  return Object.fromEntries(parts.filter(([, value]) => value !== undefined));
}
