import { stringify } from "yaml";

/** A value as one line of YAML. */
export function inlineYaml(value: unknown): string {
  return stringify(value, { collectionStyle: "flow", lineWidth: 0 }).trim();
}
