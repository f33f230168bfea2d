import type { z } from "zod";
import { problemsFromIssues, type Problem } from "../../../components/csi/problems.ts";
import { parseRepaired } from "../../../components/csi/parseRepaired.ts";

/** Every problem that a driver's schema finds in a value. */
export function problemsOf(schema: z.ZodType, value: unknown): Problem[] {
  const result = schema.safeParse(value);
  if (result.success) return [];
  const { issues } = result.error;
  return problemsFromIssues([...issues, ...parseRepaired(schema, value, issues).issues]);
}
