import type { Problem } from "../components/csi/problems.ts";
import { isRecord } from "../talos/values.ts";
import { pathText, type Path } from "./secretValues.ts";

/**
 * Refuses Pulumi Outputs and Promises, whose values are not known yet. A patch may have any key, so one would pass for a mapping and end up in a machine
 * configuration.
 *
 * @param config settings without cycles.
 */
export function pendingProblems(config: unknown, path: Path = []): Problem[] {
  const what = pendingKind(config);
  if (what !== undefined) {
    const reason = `is ${what}, but settings decide which resources exist, so they must be known when the program runs. Use a plain value or, for a secret, an environment variable: { fromEnvironment: NAME }`;
    return [{ path: pathText(path), reason }];
  }
  if (Array.isArray(config))
    return config.flatMap((item: unknown, index) => pendingProblems(item, [...path, index]));
  if (!isRecord(config)) return [];
  return Object.entries(config).flatMap(([key, value]) => pendingProblems(value, [...path, key]));
}

/** This folder does not import Pulumi. Like `Output.isInstance`, this also recognizes an Output of another copy of the SDK. */
function pendingKind(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if ("__pulumiOutput" in value) return "an Output";
  return "then" in value && typeof value.then === "function" ? "a Promise" : undefined;
}
