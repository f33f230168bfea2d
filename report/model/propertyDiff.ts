import { isDeepStrictEqual } from "node:util";
import { isRecord } from "../../talos/values.ts";
import type { Properties, Value } from "../digest/values.ts";
import { textDiff, type TextDiff } from "./lineDiff.ts";

/** One property of a resource that changes. */
export interface PropertyChange {
  /** `spec.template.spec.containers[csi-driver].image` */
  path: string;
  kind: "added" | "removed" | "changed";
  /** As text, on one line; undefined where there was or is nothing. */
  before?: string;
  after?: string;
  /** For texts of several lines. */
  diff?: TextDiff;
}

/** What changes between two states of a resource's inputs, the deepest properties by their paths. */
export function propertyChanges(before: Properties, after: Properties): PropertyChange[] {
  return compareValues("", before, after);
}

function compareValues(path: string, before: Value | undefined, after: Value | undefined): PropertyChange[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (isMapping(before) && isMapping(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return keys.flatMap((key) => compareValues(joinPath(path, key), before[key], after[key]));
  }
  if (Array.isArray(before) && Array.isArray(after)) return compareLists(path, before, after);
  if (isAbsent(before) && isAbsent(after)) return [];
  if (isText(before) && isText(after) && (before.includes("\n") || after.includes("\n"))) {
    return [{ path, kind: "changed", diff: textDiff(before, after) }];
  }
  return [
    {
      path,
      kind: isAbsent(before) ? "added" : isAbsent(after) ? "removed" : "changed",
      ...(isAbsent(before) ? {} : { before: formatInline(before) }),
      ...(isAbsent(after) ? {} : { after: formatInline(after) }),
    },
  ];
}

/** Lists of things that have a name are compared by name, others of the same length by position. */
function compareLists(path: string, before: Value[], after: Value[]): PropertyChange[] {
  const [old, made] = [indexByName(before), indexByName(after)];
  if (old !== undefined && made !== undefined) {
    const names = [...new Set([...old.keys(), ...made.keys()])];
    return names.flatMap((name) => compareValues(`${path}[${name}]`, old.get(name), made.get(name)));
  }
  if (before.length === after.length)
    return before.flatMap((item, index) => compareValues(`${path}[${index}]`, item, after[index]));
  const kept = (item: Value, list: Value[]) => list.some((other) => isDeepStrictEqual(item, other));
  const gone = before.filter((item) => !kept(item, after));
  const come = after.filter((item) => !kept(item, before));
  return [
    ...gone.map((item) => ({ path: `${path}[]`, kind: "removed" as const, before: formatInline(item) })),
    ...come.map((item) => ({ path: `${path}[]`, kind: "added" as const, after: formatInline(item) })),
    ...(gone.length + come.length === 0
      ? [{ path, kind: "changed" as const, before: formatInline(before), after: formatInline(after) }]
      : []),
  ];
}

function indexByName(list: Value[]): Map<string, Value> | undefined {
  const named = new Map<string, Value>();
  for (const item of list) {
    const name = isMapping(item) ? item["name"] : undefined;
    if (typeof name !== "string" || named.has(name)) return undefined;
    named.set(name, item);
  }
  return named.size === 0 ? undefined : named;
}

function joinPath(path: string, key: string): string {
  const part = /^[\w-]+$/.test(key) ? key : `["${key}"]`;
  return path === "" || part.startsWith("[") ? `${path}${part}` : `${path}.${part}`;
}

/** A value on one line. */
function formatInline(value: Value): string {
  return typeof value === "string" ? value.replace(/\n$/, "").replaceAll("\n", " ⏎ ") : JSON.stringify(value);
}

function isMapping(value: Value | undefined): value is Properties {
  return isRecord(value);
}

function isText(value: Value | undefined): value is string {
  return typeof value === "string";
}

function isAbsent(value: Value | undefined): value is undefined | null {
  return value === undefined || value === null;
}
