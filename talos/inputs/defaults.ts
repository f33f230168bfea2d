import type { z } from "zod";

/**
 * Inputs that were checked, typed and with every default. A state may hold what today's check refuses, such as the digest in place of an input or an option
 * of a newer release: then the default counts, and what has none stays as it is.
 */
export function withDefaults<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  checked: Readonly<Record<string, unknown>>,
): z.output<z.ZodObject<Shape>> {
  const parts = Object.entries(schema.shape as unknown as Record<string, z.ZodType>).map(([name, field]) => {
    const given = checked[name];
    const parsed = given === undefined ? undefined : field.safeParse(given);
    if (parsed?.success === true) return [name, parsed.data] as const;
    const byDefault = field.safeParse(undefined);
    return [name, byDefault.success ? byDefault.data : given] as const;
  });
  return Object.fromEntries(parts.filter(([, value]) => value !== undefined)) as z.output<z.ZodObject<Shape>>;
}
