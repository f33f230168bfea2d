import { jsonpath } from "json-p3";

/** JSONPath as RFC 9535 has it. What people copy from kubectl, `{.status.phase}`, is understood. */

/** Without kubectl's braces, and with the root that kubectl leaves out. */
function normalizePath(path: string): string {
  const bare = /^\{(.*)\}$/s.exec(path.trim())?.[1]?.trim() ?? path.trim();
  if (bare.startsWith("$")) return bare;
  return `$${bare.startsWith(".") || bare.startsWith("[") ? "" : "."}${bare}`;
}

/** What is wrong with a path; undefined for one that can be used. */
export function jsonPathProblem(path: string): string | undefined {
  try {
    jsonpath.compile(normalizePath(path));
    return undefined;
  } catch (error) {
    return `is no JSONPath: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Everything that the path finds. */
export function evaluateJsonPath(path: string, value: unknown): unknown[] {
  return jsonpath.query(normalizePath(path), value as Parameters<typeof jsonpath.query>[1]).values();
}
