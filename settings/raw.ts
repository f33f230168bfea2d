/** Looks into settings as they were given, before anything is known about their shape. */

import { isRecord } from "../talos/values.ts";

/** A value inside of something that may have any shape. */
export function valueAt(value: unknown, ...keys: string[]): unknown {
  return keys.reduce<unknown>((inner, key) => (isRecord(inner) ? inner[key] : undefined), value);
}

/** A list inside of something that may have any shape; empty where there is none. */
export function listAt(value: unknown, ...keys: string[]): unknown[] {
  const list = valueAt(value, ...keys);
  return Array.isArray(list) ? list : [];
}
