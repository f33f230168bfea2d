import { z } from "zod";
import type { Problem } from "../components/csi/problems.ts";
import { schemasAt } from "./schemasAt.ts";

/**
 * A key without a value, as when everything below it was commented out. It is never taken as absent: a missing driver would be deleted, and without
 * `cluster.secrets` a cluster is new.
 */

/** A schema's problem, worded for a value that is empty. Any other value's problem stays as it is. */
export function wordedIfEmpty(
  problem: Problem,
  schema: z.ZodType,
  config: unknown,
  path: readonly PropertyKey[],
): Problem {
  const value = valueAt(config, path);
  // The engine passes an empty key at the top as empty text.
  if (value !== null && !(value === "" && path.length === 1)) return problem;
  const removable = mayBeAbsent(schema, path);
  const meant = expectation.exec(problem.reason)?.[1];
  if (meant === undefined && value === "") return problem;
  const advice = [
    ...(removable ? ["remove it, or "] : []),
    meant === undefined ? "give it a value" : `${removable ? "set" : "it must be"} ${meant}`,
  ];
  return { ...problem, reason: `is empty; ${advice.join("")}` };
}

/** What a schema's message says of the right value. */
const expectation =
  /^(?:is (?:empty|"");? it must be|must be (?:text|a list); set|must be|null is not [^;:]*; use) (.+)$/s;

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === "object" && inner !== null ? (inner as Record<PropertyKey, unknown>)[key] : undefined,
    value,
  );
}

/** Items of lists and entries of mappings can always be removed. */
function mayBeAbsent(schema: z.ZodType, path: readonly PropertyKey[]): boolean {
  const last = String(path.at(-1));
  return schemasAt(schema, path.slice(0, -1)).every((parent) => {
    const child = parent instanceof z.ZodObject ? (parent.shape[last] as z.ZodType | undefined) : undefined;
    return child === undefined || child.safeParse(undefined).success;
  });
}
