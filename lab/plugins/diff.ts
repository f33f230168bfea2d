import type { DiffKind, DiffResult } from "./plugin.ts";
import { isArray, isObject, sameValue, Secret } from "./values.ts";
import type { Properties, PropertyValue } from "./values.ts";

/**
 * Compares two sets of inputs and names every leaf that differs, by the path the engine's display uses
 * (`nodes[0].address`, `labels["a.b/c"]`).
 */
export function diffInputs(
  oldInputs: Properties,
  inputs: Properties,
  options: { replaceOn?: readonly string[]; ignore?: readonly string[]; deleteBeforeReplace?: boolean } = {},
): DiffResult {
  const detailed: Record<string, DiffKind> = {};
  for (const key of union(oldInputs, inputs)) {
    if (options.ignore?.includes(key) === true) {
      continue;
    }
    const replaces = options.replaceOn?.includes(key) === true;
    const changes: Record<string, "add" | "delete" | "update"> = {};
    compare(pathOf("", key), oldInputs[key], inputs[key], changes);
    for (const [path, kind] of Object.entries(changes)) {
      detailed[path] = replaces ? `${kind}-replace` : kind;
    }
  }
  return {
    changes: Object.keys(detailed).length > 0,
    detailed,
    ...(options.deleteBeforeReplace === undefined
      ? {}
      : { deleteBeforeReplace: options.deleteBeforeReplace }),
  };
}

function compare(
  path: string,
  before: PropertyValue | undefined,
  after: PropertyValue | undefined,
  changes: Record<string, "add" | "delete" | "update">,
): void {
  if (before instanceof Secret || after instanceof Secret) {
    // Named as a whole: a path into a secret would already say something about it.
    if (!sameValue(before, after)) {
      changes[path] = kindOf(before, after);
    }
    return;
  }
  if (isObject(before) && isObject(after)) {
    for (const key of union(before, after)) {
      compare(pathOf(path, key), before[key], after[key], changes);
    }
    return;
  }
  if (isArray(before) && isArray(after)) {
    for (let index = 0; index < Math.max(before.length, after.length); index++) {
      compare(`${path}[${index}]`, before[index], after[index], changes);
    }
    return;
  }
  if (!sameValue(before, after)) {
    changes[path] = kindOf(before, after);
  }
}

function kindOf(
  before: PropertyValue | undefined,
  after: PropertyValue | undefined,
): "add" | "delete" | "update" {
  if (before === undefined) {
    return "add";
  }
  return after === undefined ? "delete" : "update";
}

function union(a: Properties, b: Properties): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])];
}

function pathOf(parent: string, key: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_-]*$/.test(key)) {
    return `${parent}[${JSON.stringify(key)}]`;
  }
  return parent === "" ? key : `${parent}.${key}`;
}
