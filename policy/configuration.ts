import type { EnforcementLevel, Policies } from "@pulumi/policy";
import { PolicyRunError } from "./runError.ts";
import { isRecord } from "../talos/values.ts";

/** The settings of one policy: its enforcement level and its own options. */
export interface PolicySettings {
  level: EnforcementLevel;
  config: Record<string, unknown>;
}

const levels: readonly string[] = ["advisory", "mandatory", "remediate", "disabled"];

/**
 * The settings of every policy, from a file in the format of `--policy-pack-config`: by the policy's name or `all`, a level, or an object with settings
 * and an optional `enforcementLevel`.
 */
export function policySettings(policies: Policies, text: string): Map<string, PolicySettings> {
  const given = text.trim() === "" ? {} : parseJson(text);
  const known = ["all", ...policies.map(({ name }) => name)];
  const problems = Object.keys(given)
    .filter((name) => !known.includes(name))
    .map((name) => `"${name}" is not a policy of this pack; available: ${known.join(", ")}`);
  const settings = new Map<string, PolicySettings>();
  const all = parseEntry("all", given["all"], problems);
  for (const { name, enforcementLevel, configSchema } of policies) {
    const own = parseEntry(name, given[name], problems);
    const properties = configSchema?.properties ?? {};
    const config: Record<string, unknown> = {};
    for (const [key, { default: byDefault }] of Object.entries(properties))
      if (byDefault !== undefined) config[key] = byDefault;
    for (const [key, value] of Object.entries(own.config)) {
      const wanted = properties[key]?.type;
      if (wanted === undefined)
        problems.push(
          `${name} has no setting "${key}"; available: ${Object.keys(properties).join(", ") || "none"}`,
        );
      else if (!hasType(value, wanted))
        problems.push(`${name}.${key} must be ${levelDescriptions[String(wanted)] ?? String(wanted)}`);
      config[key] = value;
    }
    settings.set(name, { level: own.level ?? all.level ?? enforcementLevel ?? "advisory", config });
  }
  if (problems.length > 0)
    throw new PolicyRunError(`The policies' configuration is invalid:\n  ${problems.join("\n  ")}`);
  return settings;
}

const levelDescriptions: Record<string, string> = {
  string: "text",
  boolean: "true or false",
  array: "a list of strings",
};

function hasType(value: unknown, type: unknown): boolean {
  if (type === "array") return Array.isArray(value) && value.every((item) => typeof item === "string");
  return typeof value === type;
}

function parseEntry(
  name: string,
  value: unknown,
  problems: string[],
): { level?: EnforcementLevel; config: Record<string, unknown> } {
  if (value === undefined) return { config: {} };
  if (!isRecord(value) && typeof value !== "string") {
    problems.push(`${name} must be a level (${levels.join(", ")}) or an object`);
    return { config: {} };
  }
  const { enforcementLevel, ...config } = typeof value === "string" ? { enforcementLevel: value } : value;
  if (enforcementLevel === undefined) return { config };
  if (typeof enforcementLevel !== "string" || !levels.includes(enforcementLevel)) {
    problems.push(`${name}: a level is one of ${levels.join(", ")}`);
    return { config };
  }
  return { level: enforcementLevel as EnforcementLevel, config };
}

function parseJson(text: string): Record<string, unknown> {
  try {
    const content: unknown = JSON.parse(text);
    if (isRecord(content)) return content;
  } catch {
    // said below
  }
  throw new PolicyRunError("The policies' configuration is not a JSON object.");
}
