import * as pulumi from "@pulumi/pulumi";
import { isDistinctive } from "../talos/secrecy/known.ts";

/** Names and addresses of objects: their URNs and IDs consist of them. */
const NAMES = new Set(["name", "namespace", "kind", "apiVersion"]);

/**
 * Marks every input of a resource, and of its children, that has one of these values in it as a Pulumi secret, so that state, previews, plans and
 * history have it encrypted. For values that were given as secrets and stand in places that are not secret by themselves: a user's name, a mount option.
 */
export function hideValues(values: readonly string[]): pulumi.ResourceTransformation[] {
  if (values.length === 0) return [];
  const has = (text: string): boolean =>
    values.some((value) => text === value || (isDistinctive(value) && text.includes(value)));
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
