import type { DiffResult } from "./plugin.ts";
import { sameValue } from "./values.ts";
import type { Properties } from "./values.ts";

/** Compares two sets of inputs and names every property that differs. Like the published provider, it doesn't say what differs inside a property. */
export function diffInputs(
  oldInputs: Properties,
  inputs: Properties,
  options: { ignore?: readonly string[] } = {},
): DiffResult {
  const diffs = [...new Set([...Object.keys(oldInputs), ...Object.keys(inputs)])].filter(
    (key) => options.ignore?.includes(key) !== true && !sameValue(oldInputs[key], inputs[key]),
  );
  return { diffs, replaces: [] };
}
