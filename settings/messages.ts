import { z } from "zod";
import { describeText } from "../components/csi/fields.ts";

/** How the settings say what a value must look like. */

/** Says what would be right, and tells "not there" from "there, but wrong". */
export function must(right: string): { error: (issue: { input?: unknown }) => string } {
  return {
    error: ({ input }) =>
      input === undefined
        ? `is missing; it must be ${right}`
        : `is ${describeGiven(input)}; it must be ${right}`,
  };
}

/** For values that may hold a secret, wherever they are put by mistake: says what would be right, and shows nothing. */
export function mustHidden(right: string): { error: (issue: { input?: unknown }) => string } {
  return {
    error: ({ input }) => (input === undefined ? `is missing; it must be ${right}` : `must be ${right}`),
  };
}

/** A wrong value as a person wrote it if it is short and plain, else only what it is: see `describeText`. */
export function describeGiven(value: unknown): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value !== "string") return `a ${typeof value}`;
  return describeText(value);
}

/** A switch. */
export const flagSchema = () => z.boolean(must("true or false"));
