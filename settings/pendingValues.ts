import type { Problem } from "../components/csi/problems.ts";
import { isRecord } from "../talos/values.ts";
import { pathText, type Path } from "./secretValues.ts";

/**
 * Values that a program does not have yet: Outputs of Pulumi, and Promises. Where a patch may have any key, one would pass for a mapping and end up in a
 * machine configuration.
 *
 * @param config settings without a value that contains itself.
 */
export function pendingProblems(config: unknown, path: Path = []): Problem[] {
  const what = pendingKind(config);
  if (what !== undefined) {
    const reason = `is ${what}, but settings decide which resources exist, so they must be known when the program runs. Give a plain value; for a secret, name an environment variable: { fromEnvironment: NAME }`;
    return [{ path: pathText(path), reason }];
  }
  if (Array.isArray(config))
    return config.flatMap((item: unknown, index) => pendingProblems(item, [...path, index]));
  if (!isRecord(config)) return [];
  return Object.entries(config).flatMap(([key, value]) => pendingProblems(value, [...path, key]));
}

/** This folder knows nothing of Pulumi: an Output is recognized as its own `Output.isInstance` does, also one of another copy of the SDK. */
function pendingKind(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if ("__pulumiOutput" in value) return "an Output";
  return "then" in value && typeof value.then === "function" ? "a Promise" : undefined;
}
