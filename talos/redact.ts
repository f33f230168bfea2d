/**
 * Redacts configurations for previews: a mark replaces each secret. The text is reformatted without comments, so that equal configurations give equal lines.
 * Only `secrecy/` decides what is a secret.
 *
 * A mark is keyed with the cluster's own secret and stays the same as long as the redacted text does: `«secret 3f9a12bc»`. If that secret is unknown, as in
 * patches of a cluster that doesn't exist yet, the mark reveals nothing: `[secret]`. With any other key, a list of guesses would reveal what was redacted.
 */
import { isRecord } from "./values.ts";
import { createHmac } from "node:crypto";
import { parseAllDocuments, stringify } from "yaml";
import { knownSecrets, type KnownSecret, type KnownSecrets } from "./secrecy/known.ts";
import { isLabelKey, isPublicName, isSecretName, isSecretSection } from "./secrecy/names.ts";
import { isCertificate, isHarmlessValue, isPrivateKey, looksRandom } from "./secrecy/shapes.ts";
import { isMark, isSecretFlag, scrubSecrets } from "./secrecy/text.ts";

/** How secrets are marked. */
export interface RedactOptions {
  /** The cluster secret that keys the marks. Default: the one in the configuration; without one the marks reveal nothing. */
  readonly key?: string | undefined;
  /** Values that are secret whatever their names. */
  readonly hidden?: readonly KnownSecret[] | undefined;
}

/** Replaces a text that is not YAML, since nothing can be determined about it. */
const UNREADABLE = "«not YAML, so not shown»\n";

/** A machine configuration or a patch, of any number of documents, without its secrets. */
export function redactMachineConfig(text: string, options: RedactOptions = {}): string {
  return redactYaml(text, options);
}

/** How many secrets a YAML text contains in plain text: what `redactMachineConfig` would redact and is not redacted yet. */
export function countPlainSecrets(text: string): number {
  let found = 0;
  const mark = (secret: string): string => {
    if (!isMark(secret)) found += 1;
    return secret;
  };
  for (const document of readDocuments(text) ?? [])
    redactValue(document, rootContext(mark, knownSecrets([])));
  return found;
}

/** Redacts single values and paths of one cluster's configurations, with the marks of `redactMachineConfig`. */
export interface ConfigRedactor {
  /** The key of the marks, so that `redactMachineConfig` creates the same ones; undefined if they reveal nothing. */
  readonly key: string | undefined;
  /** Redacts a scalar by its place: the keys that lead to it, and its document's kind. */
  value(
    leaf: { readonly text: string; readonly plain: boolean },
    keys: readonly string[],
    kind?: string,
  ): string;
  /** A path of keys, with a mark in place of a key that may be a secret. */
  path(path: string): string;
}

/**
 * A redactor with the marks of the given configuration.
 * @param others further configurations whose values will be redacted: some are secret because of their context.
 */
export function configRedactor(
  text: string,
  options: RedactOptions = {},
  others: readonly string[] = [],
): ConfigRedactor {
  const key = options.key ?? markKey(readDocuments(text) ?? []);
  const mark = secretMarker(key);
  const beside = [text, ...others].flatMap(secretsByContext);
  const known = knownSecrets(options.hidden ?? [], beside);
  return {
    key,
    value: ({ text: value, plain: bare }, keys, kind) => {
      // Without the other fields, a taint's key is told by its list.
      const isTaint = keys.at(-1) === "key" && /taints$/i.test(keys.at(-2) ?? "");
      const name = isTaint ? "label" : (keys.at(-1) ?? "");
      const inherited = keys
        .slice(0, -1)
        .some(
          (parent, depth) =>
            isSecretName(parent) ||
            (depth === 0 && kind === "Secret" && /^(?:data|stringData)$/.test(parent)),
        );
      if (known.has(value, keys, kind)) return isMark(value) ? value : mark(value);
      const context = { ...rootContext(mark, known), name, inherited, keys, kind };
      if (bare && /^(?:true|false)$/.test(value)) return value;
      if (bare && /^[-+\d.]+$/.test(value)) {
        // A version or an address is not a number, and JavaScript changes a long number.
        const shown = redactValue(Number(value), context);
        return typeof shown === "number" ? value : String(shown);
      }
      return redactText(value, context);
    },
    path: (path) =>
      scrubSecrets(known.without(path, mark), mark).replace(/\[([^\]]+)\]/g, (label, inner: string) =>
        looksRandom(inner) || known.is(inner) ? `[${mark(inner)}]` : label,
      ),
  };
}

function secretMarker(key: string | undefined): (secret: string) => string {
  // Talos generates 32 random bytes. A human-chosen key can be guessed, and the marks with it.
  if (key === undefined || !looksRandom(key)) return () => "[secret]";
  return (secret) => `«secret ${createHmac("sha256", key).update(secret, "utf8").digest("hex").slice(0, 8)}»`;
}

function redactYaml(text: string, options: RedactOptions): string {
  const documents = readDocuments(text);
  if (documents === undefined) return UNREADABLE;
  const mark = secretMarker(options.key ?? markKey(documents));
  return writeRedacted(documents, rootContext(mark, knownSecrets(options.hidden ?? [])));
}

function writeRedacted(documents: readonly unknown[], context: Context): string {
  return documents
    .map((document) => stringify(redactValue(document, context), { lineWidth: 0 }))
    .join("---\n");
}

function readDocuments(text: string): unknown[] | undefined {
  const parsed = parseAllDocuments(text, { prettyErrors: false, uniqueKeys: false });
  const documents = Array.isArray(parsed) ? parsed : [];
  if (documents.some(({ errors }) => errors.length > 0)) return undefined;
  try {
    return documents.map((document) => document.toJS() as unknown).filter((value) => value !== null);
  } catch {
    return undefined; // an alias without its anchor, or an alias bomb
  }
}

/**
 * The cluster's secret is permanent and the same on all its nodes, so marks of different nodes can be compared. Nothing else in a configuration can be a key:
 * names may be known, and so may a text except for its redacted secret.
 */
function markKey(documents: readonly unknown[]): string | undefined {
  for (const document of documents) {
    if (!isRecord(document)) continue;
    const { cluster, clusterSecret } = document;
    const secret = isRecord(cluster) ? cluster["secret"] : undefined;
    for (const found of [clusterSecret, secret]) if (typeof found === "string" && found !== "") return found;
  }
  return undefined;
}

interface Context {
  /** The name of the value's field; of the list, for an item. */
  readonly name: string;
  /** Whether it is inside a mapping that is secret as a whole, such as a Secret's data. */
  readonly inherited: boolean;
  readonly mark: (secret: string) => string;
  readonly known: KnownSecrets;
  /** The keys that lead to the value, and its document's kind. */
  readonly keys: readonly string[];
  readonly kind: string | undefined;
  /** Called for every scalar that is secret because of its siblings or parents. */
  readonly note?: ((value: string, keys: readonly string[], kind: string | undefined) => void) | undefined;
}

function rootContext(mark: Context["mark"], known: KnownSecrets): Context {
  return { name: "", inherited: false, mark, known, keys: [], kind: undefined };
}

function redactValue(value: unknown, context: Context): unknown {
  if (context.inherited && isScalar(value)) context.note?.(String(value), context.keys, context.kind);
  if (typeof value === "string") return redactText(value, context);
  if (typeof value !== "string" && isScalar(value)) {
    const text = String(value);
    const secret =
      context.known.has(text, context.keys, context.kind) ||
      (typeof value !== "boolean" && (context.inherited || isSecretName(context.name)));
    return secret ? context.mark(text) : value;
  }
  if (Array.isArray(value)) return redactList(value, context);
  return isRecord(value) ? redactMapping(value, context) : value;
}

function redactList(list: readonly unknown[], context: Context): unknown[] {
  return list.map((item, index) => {
    const before: unknown = list[index - 1];
    const [text, flag] = [item, before].map((one) => (typeof one === "string" ? one : ""));
    // `["--password", "x"]`, `["-u", "user:x"]`
    const behindFlag =
      text !== undefined &&
      flag !== undefined &&
      /^--?[A-Za-z][\w.-]*$/.test(flag) &&
      isSecretFlag(flag, text);
    return redactValue(item, { ...context, inherited: context.inherited || behindFlag });
  });
}

function redactMapping(value: Readonly<Record<string, unknown>>, context: Context): unknown {
  const kind = context.keys.length === 0 && typeof value["kind"] === "string" ? value["kind"] : context.kind;
  const secretObject = value["kind"] === "Secret";
  // An environment variable in Kubernetes notation.
  const named = value["name"] ?? value["key"];
  const secretVariable = typeof named === "string" && isSecretName(named);
  const entries = Object.entries(value).map(([name, item]) => {
    const section = isRecord(item) && isSecretSection(name, item);
    const beside = secretVariable && name === "value";
    const inherited =
      context.inherited || (secretObject && /^(?:data|stringData)$/.test(name)) || beside || section;
    const keys = [...context.keys, name];
    const field = name === "key" && isLabelKey(value) && !context.inherited ? "label" : name;
    const shownName = scrubSecrets(context.known.without(name, context.mark), context.mark);
    return [shownName, redactValue(item, { ...context, name: field, inherited, keys, kind })] as const;
  });
  return Object.fromEntries(entries);
}

/** The scalars of a configuration that are secret because of their siblings or parents, which can't be recognized in isolation. */
function secretsByContext(text: string): KnownSecret[] {
  const found: KnownSecret[] = [];
  const note = (value: string, keys: readonly string[], kind: string | undefined): void => {
    if (!isHarmlessValue(value))
      found.push({ value, keys: [...keys], ...(kind === undefined ? {} : { kind }) });
  };
  for (const document of readDocuments(text) ?? [])
    redactValue(document, { ...rootContext((secret) => secret, knownSecrets([])), note });
  return found;
}

// Fields of files and manifests: their text can contain anything.
const EMBEDDED = /^(?:contents?|inlineManifest)$/i;

function redactText(text: string, { name, inherited, mark, known, keys, kind }: Context): string {
  if (known.has(text, keys, kind) && !isMark(text)) return mark(text);
  if (isHarmlessValue(text) || isMark(text) || isCertificate(text)) return text;
  if (EMBEDDED.test(name) && !inherited) return redactEmbedded(text, mark, known);
  if (inherited || isSecretName(name) || isPrivateKey(text)) return mark(text);
  if (isPublicName(name)) return known.without(text, mark);
  if (looksRandom(text)) return mark(text);
  return scrubSecrets(known.without(text, mark), mark, /^(?:environment|env|envs|variables)$/i.test(name));
}

/** Redacts file content: a Kubernetes manifest is scanned, anything else is hidden completely. */
function redactEmbedded(text: string, mark: Context["mark"], known: KnownSecrets): string {
  const documents = readDocuments(text);
  const manifest = documents?.every((document) => isRecord(document) && typeof document["kind"] === "string");
  if (documents === undefined || documents.length === 0 || manifest !== true) return mark(text);
  return writeRedacted(documents, rootContext(mark, known));
}

function isScalar(value: unknown): value is string | number | bigint | boolean {
  return ["string", "number", "bigint", "boolean"].includes(typeof value);
}
