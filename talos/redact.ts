/**
 * Configurations made fit to be read in a preview: each secret becomes a short mark that stays the same as long as the
 * secret does, `«secret 3f9a12bc»`. The text is written anew without comments, so that equal configurations give equal lines.
 *
 * What is a secret is told by where it stands (names such as key, token, password), by what it looks like (private
 * keys, random text) and by what it is part of (a password in an address). Names nobody knows yet are meant to be caught
 * by this too: better a mark too many.
 */
import { createHmac } from "node:crypto";
import { parseAllDocuments, stringify } from "yaml";

/** How secrets are marked. */
export interface RedactOptions {
  /**
   * Key of the marks, so that nobody can guess a secret and compare. Default: the cluster's own secret, where the
   * configuration has it. Give the same key for configurations whose marks shall be comparable.
   */
  readonly key?: string;
}

/** What stands in place of a text that is not YAML, since nothing can be told of it. */
export const UNREADABLE = "«not YAML, so not shown»\n";

/** A machine configuration, of any number of documents, without its secrets. */
export function redactMachineConfig(text: string, options: RedactOptions = {}): string {
  return redactYaml(text, options);
}

/** A talosconfig or a kubeconfig without its secrets. */
export function redactClientConfig(text: string, options: RedactOptions = {}): string {
  return redactYaml(text, options);
}

/** How many secrets a text of YAML holds in plain text: what `redactMachineConfig` would mark and has not marked yet. */
export function plainSecrets(text: string): number {
  let found = 0;
  const count = (secret: string): string => {
    if (!/^«secret [0-9a-f]{8}»$/.test(secret)) found += 1;
    return secret;
  };
  for (const document of read(text) ?? []) redacted(document, { name: "", inherited: false, mark: count });
  return found;
}

/** Redacts single values and paths of one cluster's configurations, with the marks of `redactMachineConfig`. */
export interface ConfigRedactor {
  /** Key of the marks, for `redactMachineConfig` to make the same. */
  readonly key: string;
  /** A scalar by where it stands: the keys that lead to it, and the kind of its document. */
  value(
    leaf: { readonly text: string; readonly plain: boolean },
    keys: readonly string[],
    kind?: string,
  ): string;
  /** A path of keys, with a mark in place of a key that may be a secret. */
  path(path: string): string;
}

/** A redactor whose marks are those of the given configuration. */
export function configRedactor(text: string): ConfigRedactor {
  const key = keyOf(read(text) ?? [text]);
  const mark = marker(key);
  return {
    key,
    value: ({ text: value, plain: bare }, keys, kind) => {
      const name = keys.at(-1) ?? "";
      const inherited = keys
        .slice(0, -1)
        .some(
          (parent, depth) =>
            isSecretName(parent) ||
            (depth === 0 && kind === "Secret" && /^(?:data|stringData)$/.test(parent)),
        );
      if (bare && /^(?:true|false)$/.test(value)) return value;
      if (bare && /^[-+\d.]+$/.test(value)) return String(redacted(Number(value), { name, inherited, mark }));
      return redactedText(value, { name, inherited, mark });
    },
    path: (path) =>
      scrubbed(path, mark).replace(/\[([^\]]+)\]/g, (label, inner: string) =>
        looksRandom(inner) ? `[${mark(inner)}]` : label,
      ),
  };
}

function marker(key: string): (secret: string) => string {
  return (secret) => `«secret ${createHmac("sha256", key).update(secret, "utf8").digest("hex").slice(0, 8)}»`;
}

function redactYaml(text: string, options: RedactOptions): string {
  const documents = read(text);
  if (documents === undefined) return UNREADABLE;
  const key = options.key ?? keyOf(documents);
  const mark = marker(key);
  return documents
    .map((document) => stringify(redacted(document, { name: "", inherited: false, mark }), { lineWidth: 0 }))
    .join("---\n");
}

function read(text: string): unknown[] | undefined {
  const parsed = parseAllDocuments(text, { prettyErrors: false, uniqueKeys: false });
  const documents = Array.isArray(parsed) ? parsed : [];
  if (documents.some(({ errors }) => errors.length > 0)) return undefined;
  try {
    return documents.map((document) => document.toJS() as unknown).filter((value) => value !== null);
  } catch {
    return undefined; // an alias without its anchor, or a bomb of aliases
  }
}

// The cluster's secret is the same on all its nodes and stays, so marks of different nodes can be compared.
function keyOf(documents: readonly unknown[]): string {
  for (const document of documents) {
    if (!isMapping(document)) continue;
    const { cluster, clusterSecret } = document;
    if (typeof clusterSecret === "string" && clusterSecret !== "") return clusterSecret;
    if (isMapping(cluster) && typeof cluster["secret"] === "string" && cluster["secret"] !== "")
      return cluster["secret"];
  }
  return JSON.stringify(documents);
}

interface Context {
  /** The name of the field that the value stands in; of its list, for an item. */
  readonly name: string;
  /** Does it stand in a mapping that is secret as a whole, such as a Secret's data? */
  readonly inherited: boolean;
  readonly mark: (secret: string) => string;
}

function redacted(value: unknown, context: Context): unknown {
  if (typeof value === "string") return redactedText(value, context);
  if (typeof value === "number" || typeof value === "bigint") {
    return context.inherited || /token|password|passphrase|secret|pin$/i.test(context.name)
      ? context.mark(String(value))
      : value;
  }
  if (Array.isArray(value)) return value.map((item) => redacted(item, context));
  if (!isMapping(value)) return value;

  const secretObject = value["kind"] === "Secret";
  // An environment variable as Kubernetes writes it.
  const secretVariable = typeof value["name"] === "string" && isSecretName(value["name"]);
  const entries = Object.entries(value).map(([name, item]) => {
    const inherited =
      context.inherited ||
      (secretObject && /^(?:data|stringData)$/.test(name)) ||
      (secretVariable && name === "value") ||
      (isMapping(item) && isSecretName(name));
    return [scrubbed(name, context.mark), redacted(item, { ...context, name, inherited })] as const;
  });
  return Object.fromEntries(entries);
}

// Fields of files and manifests: their text can hold anything.
const EMBEDDED = /^(?:contents?|inlineManifest)$/i;
// Fields whose random-looking text is public.
const PUBLIC = /^(?:id|clusterid|uid|uuid|schematicid|digest|checksum|publickey|fingerprint|image|version)$/;

function redactedText(text: string, { name, inherited, mark }: Context): string {
  if (text === "" || isCertificate(text)) return text;
  if (EMBEDDED.test(name)) return embedded(text, mark);
  if (inherited || isSecretName(name) || isPrivateKey(text)) return mark(text);
  if (!PUBLIC.test(plain(name)) && looksRandom(text)) return mark(text);
  return scrubbed(text, mark);
}

/** Text of a file: a manifest of Kubernetes is looked through, anything else is not shown at all. */
function embedded(text: string, mark: Context["mark"]): string {
  const documents = read(text);
  const manifest = documents?.every(
    (document) => isMapping(document) && typeof document["kind"] === "string",
  );
  if (documents === undefined || documents.length === 0 || manifest !== true) return mark(text);
  return documents
    .map((document) => stringify(redacted(document, { name: "", inherited: false, mark }), { lineWidth: 0 }))
    .join("---\n");
}

const plain = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, "");

// Names that tell of a secret but hold something public: a reference, a file's name, a lifetime, a size.
const HARMLESS =
  /(?:name|names|ref|file|path|url|uri|ttl|size|type|count|id|expiration|length|usages|issuer|audience|audiences)$/;

function isSecretName(name: string): boolean {
  const flat = plain(name);
  if (/^(?:secretbox|aescbc|imagepullsecrets)$/.test(flat)) return false; // sections that hold secrets beside names
  if (/^(?:key|keys|auth|pass|psk|pin|seed|cookie|authkey)$/.test(flat)) return true;
  if (/public/.test(flat) || HARMLESS.test(flat)) return false;
  return /secret|token|passw|passphrase|credential|privatekey|presharedkey|apikey|accesskey|authkey|signingkey|encryptionkey|keydata|bearer|authorization/.test(
    flat,
  );
}

function isCertificate(text: string): boolean {
  const pem = decodedPem(text);
  return pem !== undefined && !/PRIVATE/.test(pem) && /-----BEGIN (?:CERTIFICATE|PUBLIC KEY)/.test(pem);
}

function isPrivateKey(text: string): boolean {
  return /PRIVATE KEY/.test(decodedPem(text) ?? "");
}

function decodedPem(text: string): string | undefined {
  if (text.includes("-----BEGIN ")) return text;
  // "LS0tLS" is the base64 of "-----".
  return text.startsWith("LS0tLS") ? Buffer.from(text, "base64").toString("latin1") : undefined;
}

/** Long text without spaces in which letters and digits are spread as if by chance: a key, a token, a digest. */
function looksRandom(text: string): boolean {
  if (/^eyJ[\w-]+\.[\w-]+\.[\w-]*$/.test(text)) return true; // a JSON web token
  if (/^[a-z0-9]{6}\.[a-z0-9]{16}$/.test(text)) return true; // a bootstrap token
  if (/^[0-9a-fA-F]{24,}$/.test(text)) return new Set(text).size >= 6;
  if (!/^[A-Za-z0-9+/_-]{20,}={0,2}$/.test(text) || !/[A-Za-z]/.test(text)) return false;
  if (/^(?:\/[a-z0-9._-]+)+\/?$/.test(text) || /^[a-z]+(?:[-_/][a-z0-9]+)+$/.test(text)) return false; // a path, a name
  if (!/[0-9]/.test(text) && caseChanges(text) < 0.27 * text.length) return false; // words, NodeRestriction and the like
  return entropy(text) >= 3.3;
}

function caseChanges(text: string): number {
  const pairs = text.match(/(?:[a-z](?=[A-Z])|[A-Z](?=[a-z]))/g);
  return pairs?.length ?? 0;
}

function entropy(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  return [...counts.values()].reduce((sum, n) => sum - (n / text.length) * Math.log2(n / text.length), 0);
}

/** Text of which only a part is secret: a password in an address, a query, a kernel argument, an environment variable. */
function scrubbed(text: string, mark: Context["mark"]): string {
  const keysMarked = text
    .replace(/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, (key) =>
      mark(key),
    )
    .replace(
      /(\b[a-z][a-z0-9+.-]*:\/\/[^/\s:@]*:)([^/\s@]+)@/gi,
      (_, before: string, password: string) => `${before}${mark(password)}@`,
    )
    .replace(
      /\b((?:Bearer|Basic)\s+)([^\s"',;«»]+)/g,
      (_, before: string, credentials: string) => `${before}${mark(credentials)}`,
    );
  return assignmentsMarked(keysMarked, mark);
}

/** `name=value` and `name: value` anywhere in a text; a value that is not secret is itself looked through for more. */
function assignmentsMarked(text: string, mark: Context["mark"]): string {
  const assignment = /([\w.-]+)(?:=|:\s*)/g;
  const value = /"[^"]*"|'[^']*'|[^\s&"',;«»]+/y;
  let [result, done] = ["", 0];
  for (let match = assignment.exec(text); match !== null; match = assignment.exec(text)) {
    const start = assignment.lastIndex;
    value.lastIndex = start;
    const found = value.exec(text)?.[0];
    const name = match[1]?.split(".").at(-1) ?? "";
    if (found === undefined || !(isSecretName(name) || (looksRandom(found) && !/^sha\d+$/.test(name))))
      continue;
    result += text.slice(done, start) + mark(found);
    done = start + found.length;
    assignment.lastIndex = done;
  }
  return result + text.slice(done);
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
