import type { z } from "zod";
import { problemsFromIssues, type Problem } from "../../../components/csi/problems.ts";
import { parseRepaired } from "../../../components/csi/parseRepaired.ts";

/** Every problem a driver's schema has with a value; none when the value is right. */
export function problemsOf(schema: z.ZodType, value: unknown): Problem[] {
  const result = schema.safeParse(value);
  if (result.success) return [];
  const { issues } = result.error;
  return problemsFromIssues([...issues, ...parseRepaired(schema, value, issues).issues]);
}
