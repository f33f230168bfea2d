import { jsonpath } from "json-p3";

/** JSONPath according to RFC 9535. Expressions copied from kubectl, `{.status.phase}`, are accepted. */

/** Removes kubectl's braces, and adds the root that kubectl omits. */
function normalizePath(path: string): string {
  const bare = /^\{(.*)\}$/s.exec(path.trim())?.[1]?.trim() ?? path.trim();
  if (bare.startsWith("$")) return bare;
  return `$${bare.startsWith(".") || bare.startsWith("[") ? "" : "."}${bare}`;
}

/** The problem with a path; undefined for a usable one. */
export function jsonPathProblem(path: string): string | undefined {
  try {
    jsonpath.compile(normalizePath(path));
    return undefined;
  } catch (error) {
    return `is no JSONPath: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** All matches of the path. */
export function evaluateJsonPath(path: string, value: unknown): unknown[] {
  return jsonpath.query(normalizePath(path), value as Parameters<typeof jsonpath.query>[1]).values();
}
