import { z } from "zod";
import { describeText } from "../components/csi/fields.ts";

/** Error messages for invalid values. */

/** Says what is expected, and tells a missing value from a wrong one. */
export function must(right: string): { error: (issue: { input?: unknown }) => string } {
  return {
    error: ({ input }) =>
      input === undefined
        ? `is missing; it must be ${right}`
        : `is ${describeGiven(input)}; it must be ${right}`,
  };
}

/** For values that may contain a secret, even one set in the wrong place: says what is expected without showing the value. */
export function mustHidden(right: string): { error: (issue: { input?: unknown }) => string } {
  return {
    error: ({ input }) => (input === undefined ? `is missing; it must be ${right}` : `must be ${right}`),
  };
}

/** A wrong value verbatim if it is short and plain, else only its kind: see `describeText`. */
export function describeGiven(value: unknown): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value !== "string") return `a ${typeof value}`;
  return describeText(value);
}

/** A boolean. */
export const flagSchema = () => z.boolean(must("true or false"));
