import type { Problem } from "../components/csi/problems.ts";
import { isWithin } from "../talos/patchScope.ts";
import { isRecord } from "../talos/values.ts";
import { pathText, type Path, type Scalar } from "./secretValues.ts";

/** Environment variables by name, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Settings with environment variables resolved, and a problem for each missing variable. */
export interface ResolvedSettings {
  readonly config: Record<string, unknown>;
  readonly problems: Problem[];
  /** The resolved values and their paths; all of them are secret. */
  readonly taken: Scalar[];
}

/**
 * Replaces `{ fromEnvironment: JOVIANDSS_PASSWORD }`, which may stand for any text, with the variable's value. Meant for secrets that a CI system
 * provides as environment variables.
 */
export function resolveEnvironment(
  config: Record<string, unknown>,
  environment: Environment,
): ResolvedSettings {
  const problems: Problem[] = [];
  const taken: Scalar[] = [];
  const resolveValue = (value: unknown, path: Path): unknown => {
    if (Array.isArray(value))
      return value.map((item: unknown, index) => resolveValue(item, [...path, index]));
    if (!isRecord(value)) return value;
    const name = variableIn(value);
    if (name === undefined) {
      return Object.fromEntries(
        Object.entries(value).map(([key, inner]) => [key, resolveValue(inner, [...path, key])]),
      );
    }
    const found = onOneLine(environment[name]);
    if (found !== undefined && found !== "") {
      taken.push({ path, value: found });
      return found;
    }
    const how = found === undefined ? "is not set" : "is empty";
    problems.push({
      path: pathText(path),
      reason: `comes from the environment variable ${name}, which ${how}`,
    });
    return value;
  };
  return { config: resolveValue(config, []) as Record<string, unknown>, problems, taken };
}

/** Without the line break that `echo` and editors leave after a value, as `pulumi config set` reads it. Files with several lines stay as they are. */
function onOneLine(value: string | undefined): string | undefined {
  return value?.replace(/^([^\r\n]*)\r?\n$/, "$1");
}

/** The variable that a `fromEnvironment` value names; undefined for anything else, which the schema refuses. */
function variableIn(value: Record<string, unknown>): string | undefined {
  const { fromEnvironment: name, ...others } = value;
  if (typeof name !== "string" || Object.keys(others).length > 0) return undefined;
  return /^[A-Za-z_]\w*$/.test(name) ? name : undefined;
}

/** Drops problems at paths whose environment variable is missing. */
export function withoutMissing(missing: readonly Problem[], problems: readonly Problem[]): Problem[] {
  return problems.filter(({ path }) => !missing.some((one) => isWithin(path, one.path)));
}
