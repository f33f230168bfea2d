import type { z } from "zod";

/** A schema's result for a value once the reported mistakes are removed. */
export interface Repaired<T> {
  /** Further mistakes that the first ones hid: a rule about a section isn't evaluated while part of the section has the wrong type. */
  readonly issues: readonly z.core.$ZodIssue[];
  /** The value without the mistakes, if it then satisfies the schema. */
  readonly data: T | undefined;
}

type Path = readonly PropertyKey[];

/**
 * Removes unknown keys and rejected values from a copy of the value, and parses again. Issues that involve a removed part are dropped: its intended value is
 * unknown.
 * @param top how many keys deep invalid parts stay: other rules may check whether a section is present. Default: 0
 */
export function parseRepaired<T>(
  schema: z.ZodType<T>,
  value: unknown,
  issues: readonly z.core.$ZodIssue[],
  top = 0,
): Repaired<T> {
  const copy = deepCopy(value);
  const taken: Path[] = [];
  for (const issue of issues) {
    if (issue.code === "unrecognized_keys") {
      for (const key of issue.keys) removeAt(copy, [...issue.path, key]);
    } else if (issue.path.length > top && removeAt(copy, issue.path)) taken.push(issue.path);
  }
  const again = schema.safeParse(copy);
  if (again.success) return { issues: [], data: again.data };
  const first = new Set(issues.map(issueKey));
  return {
    issues: again.error.issues.filter(
      (issue) => !first.has(issueKey(issue)) && !taken.some((path) => overlaps(path, issue.path)),
    ),
    data: undefined,
  };
}

/** Copies every occurrence separately, even of a shared part (a YAML alias): removing it in one place keeps it in the others. */
function deepCopy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(deepCopy);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, deepCopy(inner)]));
}

/** Removes an object's property. List items stay: removing one would shift the others. */
function removeAt(value: unknown, path: Path): boolean {
  const last = path.at(-1);
  const holder = path.slice(0, -1).reduce<unknown>((inner, key) => {
    return typeof inner === "object" && inner !== null
      ? (inner as Record<PropertyKey, unknown>)[key]
      : undefined;
  }, value);
  if (typeof holder !== "object" || holder === null || Array.isArray(holder) || last === undefined)
    return false;
  return Object.hasOwn(holder, last) && Reflect.deleteProperty(holder, last);
}

/** Whether one path contains the other. */
function overlaps(one: Path, other: Path): boolean {
  return one.every((key, index) => index >= other.length || key === other[index]);
}

function issueKey({ path, message }: z.core.$ZodIssue): string {
  return JSON.stringify([path.map(String), message]);
}
