import { z } from "zod";
import { looksRandom, mayBePassword } from "../../talos/secrecy/shapes.ts";
import { secretSpans } from "../../talos/secrecy/text.ts";
import { imageProblem } from "./imageReference.ts";

/** A section of the settings: an object that rejects unknown keys and lists the known ones. */
export function sectionSchema<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code === "unrecognized_keys")
        return `unknown key; known keys: ${Object.keys(shape).join(", ")}`;
      if (issue.input === undefined)
        return `missing; set an object with the keys ${Object.keys(shape).join(", ")}`;
      return `must be an object with the keys ${Object.keys(shape).join(", ")}`;
    },
  });
}

/** A non-empty string. The error shows `example`. */
export function textSchema(what: string, example: string) {
  return z
    .string({
      error: (issue) =>
        `${issue.input === undefined ? "missing" : "must be text"}; set ${what}, such as ${example}`,
    })
    .refine((value) => value.trim() !== "", {
      error: `is empty; give ${what}, such as ${example}`,
      abort: true,
    });
}

/** A user name or password, on one line: the storage would get a line break as part of it. */
export function credentialSchema(what: string, example: string) {
  return textSchema(what, example).refine((value) => !/[\r\n]/.test(value), {
    error: `contains a line break, which would be sent to the storage as part of it; give ${what} on one line`,
  });
}

/** A list with at least one entry. */
export function listSchema<Item extends z.ZodType>(item: Item, what: string, example: string) {
  return z
    .array(item, {
      error: (issue) =>
        `${issue.input === undefined ? "missing" : "must be a list"}; set ${what}, such as ${example}`,
    })
    .min(1, { error: `is empty; give ${what}, such as ${example}` });
}

/** One of several words. */
export function choiceSchema<const Words extends readonly [string, ...string[]]>(words: Words) {
  return z.enum(words, {
    error: (issue) => `${describeValue(issue.input)} is not supported; use ${joinChoices(words)}`,
  });
}

/** A boolean. */
export function flagSchema() {
  return z.boolean({ error: (issue) => `${describeValue(issue.input)} is not a boolean; use true or false` });
}

/** An integer within bounds. */
export function countSchema(what: string, least: number, most: number) {
  const error = (issue: { input?: unknown }) =>
    `${describeValue(issue.input)} is not ${what}; use a whole number from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
}

/** A TCP port. */
export function portSchema() {
  return countSchema("a port", 1, 65535);
}

const hostName = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;
const ipv4 = z.ipv4();
const ipv6 = z.ipv6();

/** An IPv4 address or a host name, without scheme and port, for drivers that do not support IPv6. */
export function ipv4AddressSchema() {
  return textSchema("an address", "192.168.0.100").refine(
    // "999.1.1.1" is a valid host name by the letter of the rules, but never intended as one.
    (value) => ipv4.safeParse(value).success || (hostName.test(value) && !/^[\d.]+$/.test(value)),
    {
      error: (issue) =>
        ipv6.safeParse(stripBrackets(issue.input)).success
          ? `${describeValue(issue.input)} is an IPv6 address, which the driver does not support; use an IPv4 address or a host name that resolves to one`
          : `${describeValue(issue.input)} is not an address; use an IPv4 address or a host name without scheme or port, such as 192.168.0.100`,
    },
  );
}

/** An IPv6 address without URL brackets. */
function stripBrackets(value: unknown): unknown {
  return typeof value === "string" ? value.replace(/^\[(.*)\]$/, "$1") : value;
}

const dnsLabel = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const dnsSubdomain = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;

/** The name of a Kubernetes namespace (RFC 1123 label). */
export function namespaceNameSchema() {
  return textSchema("a namespace", "joviandss-csi").refine((value) => dnsLabel.test(value), {
    error: (issue) =>
      `${describeValue(issue.input)} is not a namespace name; use up to 63 lowercase letters, digits and "-", such as joviandss-csi`,
  });
}

/** The name of most Kubernetes objects (RFC 1123 subdomain). */
export function objectNameSchema(example: string) {
  return textSchema("a name", example).refine((value) => dnsSubdomain.test(value), {
    error: (issue) =>
      `${describeValue(issue.input)} is not a Kubernetes name; use lowercase letters, digits, "-" and ".", such as ${example}`,
  });
}

/** A container image with a tag other than latest, or with a digest. */
export function imageSchema(example: string) {
  return textSchema("an image with a tag or, better, a digest", example).superRefine((value, context) => {
    const reason = imageProblem(value);
    if (reason !== undefined) context.addIssue({ code: "custom", message: `${reason}, such as ${example}` });
  });
}

/** An absolute path without "..". */
export function absolutePathSchema(example: string) {
  return textSchema("an absolute path", example).refine(
    (value) => /^(\/[A-Za-z0-9._-]+)+$/.test(value) && !value.split("/").includes(".."),
    {
      error: (issue) => `${describeValue(issue.input)} is not an absolute path; use one such as ${example}`,
    },
  );
}

/**
 * An invalid text as an error shows it: quoted, so that it can be found in the file, or only its length if it may be a misplaced secret: several lines (a
 * pasted file), longer than anyone types, a secret according to `secrecy/`, or a word that may be a password.
 */
export function describeText(value: string): string {
  if (value.length > 80 || /[\r\n]/.test(value)) return `a string of ${value.length} characters`;
  // User name and password in a URL: not needed to find the mistake.
  const bare = value.replace(/\/\/.*@/, "//…@");
  const suspicious = looksRandom(bare) || secretSpans(bare, true).length > 0;
  return suspicious || bare.split(/[^\p{L}\p{N}+=!$%^&*~]+/u).some(mayBePassword)
    ? `a string of ${value.length} characters`
    : JSON.stringify(bare);
}

/** An invalid value as an error shows it: short, and only its type unless it is a plain value. */
export function describeValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return describeText(value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : "an object";
}

/** "a, b or c" */
export function joinChoices(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
