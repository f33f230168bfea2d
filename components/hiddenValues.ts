import * as pulumi from "@pulumi/pulumi";
import { isDistinctive } from "../talos/secrecy/known.ts";

/** Names and addresses of objects, which make up their URNs and IDs. */
const NAMES = new Set(["name", "namespace", "kind", "apiVersion"]);

/** Whether a text contains one of these values. */
export function hidesText(values: readonly string[]): (text: string) => boolean {
  return (text) => values.some((value) => text === value || (isDistinctive(value) && text.includes(value)));
}

/**
 * Marks every input of a resource and its children that contains one of these values as a Pulumi secret, so that it is encrypted in state, previews, plans and
 * history. For values that were provided as secrets but appear in places that are not secret by themselves: a user's name, a mount option.
 */
export function hideValues(values: readonly string[]): pulumi.ResourceTransformation[] {
  if (values.length === 0) return [];
  const has = hidesText(values);
  const contains = (value: unknown): boolean => {
    if (typeof value === "string" || typeof value === "number") return has(String(value));
    if (typeof value !== "object" || value === null) return false;
    return Object.entries(value).some(([key, inner]) => !NAMES.has(key) && contains(inner));
  };
  const hasHiddenValue = (value: unknown): unknown => {
    if (pulumi.Output.isInstance(value))
      return value.apply((known: unknown) => (contains(known) ? pulumi.secret(known) : known));
    if (typeof value === "string" || typeof value === "number")
      return has(String(value)) ? pulumi.secret(value) : value;
    if (Array.isArray(value)) return value.map(hasHiddenValue);
    if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype)
      return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [
        key,
        NAMES.has(key) && typeof inner === "string" ? inner : hasHiddenValue(inner),
      ]),
    );
  };
  return [({ props, opts }) => ({ props: hasHiddenValue(props) as Record<string, unknown>, opts })];
}
