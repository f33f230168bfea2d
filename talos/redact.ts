/**
 * Configurations made fit to be read in a preview: a mark stands in place of each secret. The text is written anew without comments, so that equal
 * configurations give equal lines. What is a secret is decided in `secrecy/` alone.
 *
 * A mark is made with the cluster's own secret and stays the same as long as the marked text does: `«secret 3f9a12bc»`. Where that secret is not
 * known, as in patches of a cluster that is yet to be made, the mark tells nothing: `[secret]`. With any other key a list of guesses would do to
 * find out what was marked.
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
  /** Secret of the cluster that the marks are made with. Default: the one in the configuration; without one the marks tell nothing. */
  readonly key?: string | undefined;
  /** Values that are secret whatever their names. */
  readonly hidden?: readonly KnownSecret[] | undefined;
}

/** What stands in place of a text that is not YAML, since nothing can be told of it. */
const UNREADABLE = "«not YAML, so not shown»\n";

/** A machine configuration or a patch, of any number of documents, without its secrets. */
export function redactMachineConfig(text: string, options: RedactOptions = {}): string {
  return redactYaml(text, options);
}

/** How many secrets a text of YAML holds in plain text: what `redactMachineConfig` would mark and has not marked yet. */
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
  /** What the marks are made with, for `redactMachineConfig` to make the same; undefined where they tell nothing. */
  readonly key: string | undefined;
  /** A scalar by where it stands: the keys that lead to it, and the kind of its document. */
  value(
    leaf: { readonly text: string; readonly plain: boolean },
    keys: readonly string[],
    kind?: string,
  ): string;
  /** A path of keys, with a mark in place of a key that may be a secret. */
  path(path: string): string;
}

/**
 * A redactor whose marks are those of the given configuration.
 * @param others configurations whose values it is asked about, too: some are secret by what stands beside them.
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
      const name = keys.at(-1) ?? "";
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
        // A version or an address is no number, and a long number is not the one that JavaScript makes of it.
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
  // Talos makes 32 random bytes. What a person made up can be guessed, and the marks with it.
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
    return undefined; // an alias without its anchor, or a bomb of aliases
  }
}

/**
 * The cluster's secret is the same on all its nodes and stays, so marks of different nodes can be compared. Anything else in a configuration is no key:
 * names can be known, and a text whose secret is marked is known but for that secret.
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
  /** The name of the field that the value stands in; of its list, for an item. */
  readonly name: string;
  /** Does it stand in a mapping that is secret as a whole, such as a Secret's data? */
  readonly inherited: boolean;
  readonly mark: (secret: string) => string;
  readonly known: KnownSecrets;
  /** The keys that lead to the value, and the kind of its document. */
  readonly keys: readonly string[];
  readonly kind: string | undefined;
  /** Is told of every scalar that is secret by what stands beside or above it. */
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
  // An environment variable as Kubernetes writes it.
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

/** The scalars of a configuration that are secret by what stands beside or above them, which nobody sees who looks at them alone. */
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

// Fields of files and manifests: their text can hold anything.
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

/** Text of a file: a manifest of Kubernetes is looked through, anything else is not shown at all. */
function redactEmbedded(text: string, mark: Context["mark"], known: KnownSecrets): string {
  const documents = readDocuments(text);
  const manifest = documents?.every((document) => isRecord(document) && typeof document["kind"] === "string");
  if (documents === undefined || documents.length === 0 || manifest !== true) return mark(text);
  return writeRedacted(documents, rootContext(mark, known));
}

function isScalar(value: unknown): value is string | number | bigint | boolean {
  return ["string", "number", "bigint", "boolean"].includes(typeof value);
}
