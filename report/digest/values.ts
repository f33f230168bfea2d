/**
 * Values of resources as a report may show them. The engine marks secrets and leaves what is not known yet open; both become a mark here.
 * What is a secret by its name or form is treated as one even if nobody marked it: reports end up in mails and tickets.
 */

import { signatureKey, signatures, unknownValues } from "../../talos/secrecy/engineValues.ts";
import { isLabelKey, isSecretName, isSecretSection } from "../../talos/secrecy/names.ts";
import { isCertificate, isHarmlessValue, isPrivateKey } from "../../talos/secrecy/shapes.ts";
import { secretSpans, withoutTokens } from "../../talos/secrecy/text.ts";
import { isRecord } from "../../talos/values.ts";

export type Value = string | number | boolean | null | Value[] | { [key: string]: Value };
export type Properties = Record<string, Value>;

/** Stands in place of a secret. */
export const secretMark = "[secret]";
/** Stands in place of what only `pulumi up` will know. */
export const unknownMark = "[known after up]";

// The engine's own, and what `pulumi preview --json` prints for them.
const unknowns = new Set([...unknownValues, "[unknown]"]);

// What is secret as a whole in this program and its providers, though its name does not say so.
const secretSections =
  /^(?:clientconfiguration|kubeconfigraw|kubernetesclientconfiguration|machinesecrets|machineconfiguration|machineconfigurationinput|stringdata|hidden)$/i;
// Texts that come without secrets from this program's own redaction.
const redactedTexts = /^(?:configuration|changes|redacted|plan)$/;

/** Properties of a resource, without its secrets. @param type of the resource: the data of a Kubernetes Secret are secret as a whole. */
export function redactProperties(given: unknown, type: string): Properties {
  if (typeof given !== "object" || given === null || Array.isArray(given)) return {};
  const isSecret = /^kubernetes:core\/v1:Secret(List|Patch)?$/.test(type);
  return Object.fromEntries(
    Object.entries(given)
      .filter(([key]) => !key.startsWith("__"))
      .map(([key, value]) => [key, isSecret && key === "data" ? secretMark : redactValue(value, key)]),
  );
}

/** A value without its secrets. @param name of the property that it stands in. */
function redactValue(value: unknown, name = ""): Value {
  if (value === null || value === undefined) return null;
  if (isSecret(value, name) && !isEmpty(value)) return isUnknown(value) ? unknownMark : secretMark;
  if (typeof value === "string") return redactText(value, name);
  if (typeof value === "number" || typeof value === "boolean") return value;
  if (Array.isArray(value))
    return value.map((item) => redactValue(item, typeof item === "string" ? name : ""));
  if (typeof value !== "object") return null;
  const marked = (value as Record<string, unknown>)[signatureKey];
  if (marked !== undefined) return redactMarked(marked, value as Record<string, unknown>, name);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !key.startsWith("__"))
      .map(([key, item]) => [key, redactValue(item, fieldName(key, value as Record<string, unknown>))]),
  );
}

/** The name that tells what a field holds: the `value` of a variable is what the variable's name says, the `key` of a taint is a label. */
function fieldName(key: string, mapping: Readonly<Record<string, unknown>>): string {
  if (key === "key" && isLabelKey(mapping)) return "";
  return key === "value" && typeof mapping["name"] === "string" ? mapping["name"] : key;
}

function isSecret(value: unknown, name: string): boolean {
  if (secretSections.test(name)) return true;
  if (typeof value === "string") return isSecretName(name) && !isHarmlessValue(value);
  if (typeof value === "number") return isSecretName(name);
  // Lists of names: imagePullSecrets, the resources of a right.
  return isRecord(value) && isSecretSection(name, value);
}

function redactText(value: string, name: string): string {
  if (unknowns.has(value)) return unknownMark;
  if (isPrivateKey(value)) return secretMark;
  if (isCertificate(value)) return value;
  return redactedTexts.test(name) || /\n/.test(value.trim())
    ? redactMessage(value)
    : secretSpans(value, false, true)
        .toReversed()
        .reduce((rest, [start, end]) => `${rest.slice(0, start)}${secretMark}${rest.slice(end)}`, value);
}

/** A text for people, with a mark in place of every key, token and password in an address. */
export function redactMessage(text: string): string {
  return withoutTokens(text, secretMark);
}

function redactMarked(signature: unknown, value: Record<string, unknown>, name: string): Value {
  if (signature === signatures.asset || signature === signatures.archive) {
    const kind = signature === signatures.asset ? "asset" : "archive";
    return `[${kind} ${typeof value["hash"] === "string" ? value["hash"].slice(0, 12) : "without a hash"}]`;
  }
  if (signature === signatures.reference)
    return typeof value["urn"] === "string" ? nameOf(value["urn"]) : unknownMark;
  if (signature === signatures.output && value["secret"] !== true)
    return value["value"] === undefined ? unknownMark : redactValue(value["value"], name);
  return secretMark; // and whatever else the engine may come to mark
}

function isUnknown(value: unknown): boolean {
  return typeof value === "string" && unknowns.has(value);
}

function isEmpty(value: unknown): boolean {
  return value === "" || (typeof value === "object" && value !== null && Object.keys(value).length === 0);
}

/** The name in a URN: `urn:pulumi:<stack>::<project>::<types>::<name>`. */
export function nameOf(urn: string): string {
  return urn.split("::").slice(3).join("::");
}
