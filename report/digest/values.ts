/**
 * Values of resources as a report may show them. The engine marks secrets and leaves what is not known yet open; both become a mark here.
 * What is a secret by its name or its form is one whoever forgot to mark it: reports end up in mails and in tickets.
 */

import { isLabelKey, isSecretName, isSecretSection } from "../../talos/secrecy/names.ts";
import { isCertificate, isNoSecret, isPrivateKey } from "../../talos/secrecy/shapes.ts";
import { secretSpans, withoutTokens } from "../../talos/secrecy/text.ts";

export type Value = string | number | boolean | null | Value[] | { [key: string]: Value };
export type Properties = Record<string, Value>;

/** Stands in place of a secret. */
export const secretMark = "[secret]";
/** Stands in place of what only `pulumi up` will know. */
export const unknownMark = "[known after up]";

// How the engine writes values that JSON does not have (sdk/go/common/resource: SigKey and its signatures).
const signatureKey = "4dabf18193072939515e22adb298388d";
const signatures = {
  "1b47061264138c4ac30d75fd1eb44270": "secret",
  c44067f5952c0a294b673a41bacd8c17: "asset",
  "0def7320c3a5731c473e5ecbe6d01bc7": "archive",
  "5cf8f73096256a8f31e491e813e4eb8e": "reference",
  d0e6a833031e9bbcd3f4e8bde6ca49a4: "output",
} as const;

// One for each type a value may turn out to have (sdk/go/common/resource/plugin/rpc.go).
const unknowns = new Set([
  "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
  "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
  "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
  "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
  "030794c1-ac77-496b-92df-f27374a8bd58",
  "e48ece36-62e2-4504-bad9-02848725956a",
  "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
  "[unknown]",
]);

// What is secret as a whole in this program and its providers, though its name does not say so.
const secretSections =
  /^(?:clientconfiguration|kubeconfigraw|kubernetesclientconfiguration|machinesecrets|machineconfiguration|machineconfigurationinput|stringdata|hidden)$/i;
// Texts that come without secrets from this program's own redaction.
const redactedTexts = /^(?:configuration|changes|redacted|plan)$/;

/** Properties of a resource, without its secrets. @param type of the resource: the data of a Kubernetes Secret are secret as a whole. */
export function shownProperties(given: unknown, type: string): Properties {
  if (typeof given !== "object" || given === null || Array.isArray(given)) return {};
  const isSecret = /^kubernetes:core\/v1:Secret(List|Patch)?$/.test(type);
  return Object.fromEntries(
    Object.entries(given)
      .filter(([key]) => !key.startsWith("__"))
      .map(([key, value]) => [key, isSecret && key === "data" ? secretMark : shown(value, key)]),
  );
}

/** A value without its secrets. @param name of the property that it stands in. */
function shown(value: unknown, name = ""): Value {
  if (value === null || value === undefined) return null;
  if (isSecret(value, name) && !isEmpty(value)) return isUnknown(value) ? unknownMark : secretMark;
  if (typeof value === "string") return shownText(value, name);
  if (typeof value === "number" || typeof value === "boolean") return value;
  if (Array.isArray(value)) return value.map((item) => shown(item, typeof item === "string" ? name : ""));
  if (typeof value !== "object") return null;
  const marked = (value as Record<string, unknown>)[signatureKey];
  if (marked !== undefined) return shownMarked(marked, value as Record<string, unknown>, name);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !key.startsWith("__"))
      .map(([key, item]) => [key, shown(item, fieldName(key, value as Record<string, unknown>))]),
  );
}

/** The name that tells what a field holds: the `value` of a variable is what the variable's name says, the `key` of a taint is a label. */
function fieldName(key: string, mapping: Readonly<Record<string, unknown>>): string {
  if (key === "key" && isLabelKey(mapping)) return "";
  return key === "value" && typeof mapping["name"] === "string" ? mapping["name"] : key;
}

function isSecret(value: unknown, name: string): boolean {
  if (secretSections.test(name)) return true;
  if (typeof value === "string") return isSecretName(name) && !isNoSecret(value);
  if (typeof value === "number") return isSecretName(name);
  // Lists of names: imagePullSecrets, the resources of a right.
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? isSecretSection(name, value as Record<string, unknown>)
    : false;
}

function shownText(value: string, name: string): string {
  if (unknowns.has(value)) return unknownMark;
  if (isPrivateKey(value)) return secretMark;
  if (isCertificate(value)) return value;
  return redactedTexts.test(name) || /\n/.test(value.trim())
    ? withoutKeys(value)
    : secretSpans(value, false, true)
        .toReversed()
        .reduce((rest, [start, end]) => `${rest.slice(0, start)}${secretMark}${rest.slice(end)}`, value);
}

/** A text for people, with a mark in place of every key, token and password in an address. */
export function withoutKeys(text: string): string {
  return withoutTokens(text, secretMark);
}

function shownMarked(signature: unknown, value: Record<string, unknown>, name: string): Value {
  const kind = signatures[String(signature) as keyof typeof signatures] as
    (typeof signatures)[keyof typeof signatures] | undefined;
  if (kind === "asset" || kind === "archive") {
    return `[${kind} ${typeof value["hash"] === "string" ? value["hash"].slice(0, 12) : "without a hash"}]`;
  }
  if (kind === "reference") return typeof value["urn"] === "string" ? nameOf(value["urn"]) : unknownMark;
  if (kind === "output" && value["secret"] !== true)
    return value["value"] === undefined ? unknownMark : shown(value["value"], name);
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
