/** Looks into settings as they were given, before anything is known about their shape. */

/** A value inside of something that may have any shape. */
export function at(value: unknown, ...keys: string[]): unknown {
  return keys.reduce<unknown>((inner, key) => (isRecord(inner) ? inner[key] : undefined), value);
}

/** A mapping, as YAML and JSON have them. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A list inside of something that may have any shape; empty where there is none. */
export function listAt(value: unknown, ...keys: string[]): unknown[] {
  const list = at(value, ...keys);
  return Array.isArray(list) ? list : [];
}
