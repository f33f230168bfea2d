import type { Problem } from "../components/csi/problems.ts";
import { isWithin } from "../talos/patchScope.ts";
import { isRecord } from "../talos/values.ts";
import { pathText, type Path, type Scalar } from "./secretValues.ts";

/** Environment variables by name, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Settings with the values of environment variables in their places, and the variables that are not there. */
export interface ResolvedSettings {
  readonly config: Record<string, unknown>;
  readonly problems: Problem[];
  /** The values, and where they are: secret, whatever they are. */
  readonly taken: Scalar[];
}

/**
 * Puts the values of environment variables where the settings name them: `{ fromEnvironment: JOVIANDSS_PASSWORD }` may stand in the place of any text.
 * That is for secrets which a CI system keeps and hands over this way.
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
    const found = environment[name];
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

/** The variable that a value names in place of a text. Anything else that looks like it is left for the schema to refuse. */
function variableIn(value: Record<string, unknown>): string | undefined {
  const { fromEnvironment: name, ...others } = value;
  if (typeof name !== "string" || Object.keys(others).length > 0) return undefined;
  return /^[A-Za-z_]\w*$/.test(name) ? name : undefined;
}

/** Without complaints about a value that is only not there yet. */
export function withoutMissing(missing: readonly Problem[], problems: readonly Problem[]): Problem[] {
  return problems.filter(({ path }) => !missing.some((one) => isWithin(path, one.path)));
}
