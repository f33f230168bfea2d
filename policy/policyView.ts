import { createRequire } from "node:module";
import { signatureKey, signatures, unknownValues } from "../talos/secrecy/engineValues.ts";

/**
 * What a policy gets to see of a resource: everything, with a mark in place of each secret and of what is not known yet. So a policy can tell a
 * secret from plain text, no message of one can quote a secret, and a value that is unknown in a preview is one value that says nothing, not the
 * end of the check.
 */

/** Stands in place of a secret, as it does in what `pulumi preview --json` prints. */
const secretMark = "[secret]";
/** Stands in place of what a preview cannot know. */
const unknownMark = "[unknown]";

/** A value as policies see it. */
export function viewForPolicies(value: unknown): unknown {
  if (typeof value === "string") return unknownValues.has(value) ? unknownMark : value;
  if (Array.isArray(value)) return value.map(viewForPolicies);
  if (typeof value !== "object" || value === null) return value;
  if ((value as Record<string, unknown>)[signatureKey] === signatures.secret) return secretMark;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, viewForPolicies(inner)]));
}

/** Is it neither a secret nor unknown? */
export function isPlain(value: unknown): boolean {
  return value !== secretMark && value !== unknownMark;
}

/** The part of @pulumi/policy 1.21 that turns what the engine sends into what a policy is given. */
interface Deserialize {
  deserializeProperties(struct: { toJavaScript(): Record<string, unknown> }, proxySecrets: boolean): unknown;
}

/**
 * Has @pulumi/policy hand on what `seen` leaves. By itself it takes the mark off every secret before a policy looks, so that a password in plain
 * text and a secret one are the same to it; and the whole check of a resource ends at its first unknown value.
 */
export function hideSecrets(): void {
  const require = createRequire(import.meta.url);
  const module = require("@pulumi/policy/deserialize.js") as Deserialize;
  if (typeof module.deserializeProperties !== "function")
    throw new Error(
      "This release of @pulumi/policy handles secrets differently; the pack is written for 1.21.",
    );
  module.deserializeProperties = (struct) => viewForPolicies(struct.toJavaScript());
}
