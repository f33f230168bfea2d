import type { z } from "zod";

/**
 * Checked inputs, typed and with all defaults. A state may contain values that today's check rejects, such as a digest in place of an input or an option of a
 * newer release: then the default applies, and inputs without a default stay unchanged.
 */
export function withDefaults<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  checked: Readonly<Record<string, unknown>>,
): z.output<z.ZodObject<Shape>> {
  return typedInputs(schema, checked) as z.output<z.ZodObject<Shape>>;
}

/** The same without defaults for missing inputs: for inputs that override others. */
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
