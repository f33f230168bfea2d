import type { z } from "zod";

/** What a schema says of a value once the mistakes that it has told are out of the way. */
export interface Repaired<T> {
  /** Further mistakes, which the first ones hid: a rule about a section is not asked while something in the section has the wrong form. */
  readonly issues: readonly z.core.$ZodIssue[];
  /** The value without what is wrong, where that is enough for the schema. */
  readonly data: T | undefined;
}

type Path = readonly PropertyKey[];

/**
 * Takes unknown keys, and values that the schema refuses, out of a copy of the value, and asks again. What concerns something that was taken out is left
 * away: it is not known what it was to be.
 * @param top how many keys deep what is mistaken stays: others may ask whether a section is there. Default: 0
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

/** Every part is there once, even where the value has it in several places (an alias in YAML): what is taken out of one stays in the others. */
function deepCopy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(deepCopy);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, deepCopy(inner)]));
}

/** Takes the property of an object away. An item of a list stays: the others would move. */
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

/** Is one of them within the other? */
function overlaps(one: Path, other: Path): boolean {
  return one.every((key, index) => index >= other.length || key === other[index]);
}

function issueKey({ path, message }: z.core.$ZodIssue): string {
  return JSON.stringify([path.map(String), message]);
}
