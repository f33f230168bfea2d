/**
 * Values that are secret because their owner says so, whatever their names: what stands in the settings as a Pulumi secret or comes from the
 * environment. They are handed on as secret inputs and are nowhere in plain text.
 */
import { parseAllDocuments } from "yaml";
import { pointerKeys } from "../jsonPatch.ts";
import { isMark } from "./text.ts";

/** A value, and where in a machine configuration it is secret. Without keys: wherever it stands. */
export interface KnownSecret {
  readonly value: string;
  /** The keys that lead to it, without the positions in lists: `["machine", "env", "API"]`. */
  readonly keys: readonly string[];
  /** Kind of its document; absent for the v1alpha1 one. */
  readonly kind?: string;
}

/** Known secrets, to be asked about. */
export interface KnownSecrets {
  /** Is the scalar at this place one of them? */
  has(value: string, keys: readonly string[], kind: string | undefined): boolean;
  /** Is it one that is secret wherever it stands? The name of a list's item has no place to tell. */
  is(value: string): boolean;
  /** The text with a mark in place of each of them that can be told from other text. */
  without(text: string, mark: (secret: string) => string): string;
}

/** Can a value be told from other text, wherever it stands? A `1`, an `eth0` and a `kubernetes` cannot: they are secret at their place alone. */
export function isDistinctive(value: string): boolean {
  return value.length >= 8 && !isMark(value) && !/^(?:[\d.:/]+|[a-z]+(?:[-._/][a-z]+)*)$/.test(value);
}

/** @param list secret wherever they stand, where they can be told from other text. @param placed secret at their place alone */
export function knownSecrets(
  list: readonly KnownSecret[],
  placed: readonly KnownSecret[] = [],
): KnownSecrets {
  const byValue = Map.groupBy(
    [...list, ...placed].filter(({ value }) => value !== ""),
    ({ value }) => value,
  );
  const telling = [...new Set(list.map(({ value }) => value))]
    .filter(isDistinctive)
    .sort((a, b) => b.length - a.length);
  return {
    has: (value, keys, kind) =>
      telling.includes(value) ||
      (byValue.get(value) ?? []).some(
        (secret) => secret.keys.length > 0 && secret.kind === kind && isPathTo(secret.keys, keys),
      ),
    is: (value) => list.some((secret) => secret.value === value),
    without: (text, mark) =>
      telling.reduce(
        (rest, value) => (rest.includes(value) ? rest.replaceAll(value, () => mark(value)) : rest),
        text,
      ),
  };
}

/** Names of list items may stand between the keys of a place. */
function isPathTo(keys: readonly string[], place: readonly string[]): boolean {
  let at = 0;
  for (const key of place) if (key === keys[at]) at += 1;
  return at === keys.length;
}

/** Every scalar of a patch, with the place that it gets in a machine configuration. @param only those that fit, by their path in the patch */
export function scalarsOf(patch: string): KnownSecret[] {
  const parsed = parseAllDocuments(patch, { prettyErrors: false, uniqueKeys: false });
  const documents = Array.isArray(parsed) ? parsed : [];
  if (documents.some(({ errors }) => errors.length > 0)) return [{ value: patch, keys: [] }];
  return documents.flatMap((document) => {
    const content: unknown = document.toJS();
    return Array.isArray(content)
      ? content.flatMap(scalarsOfOperation)
      : scalarsAt(content, [], kindOf(content));
  });
}

/** Every scalar of a value that stands at this place. */
export function scalarsAt(value: unknown, keys: readonly string[], kind?: string): KnownSecret[] {
  if (Array.isArray(value)) return value.flatMap((item) => scalarsAt(item, keys, kind));
  if (typeof value === "object" && value !== null)
    return Object.entries(value).flatMap(([key, inner]) =>
      keys.length === 0 && /^(?:kind|apiVersion|version)$/.test(key)
        ? []
        : scalarsAt(inner, [...keys, key], kind),
    );
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") return [];
  return [
    {
      value: String(value),
      keys: [...keys],
      ...(kind === undefined ? {} : { kind }),
    },
  ];
}

export function kindOf(document: unknown): string | undefined {
  const kind =
    typeof document === "object" && document !== null && "kind" in document ? document.kind : undefined;
  return typeof kind === "string" && kind !== "" ? kind : undefined;
}

/** An operation of a JSON patch. */
function scalarsOfOperation(operation: unknown): KnownSecret[] {
  if (typeof operation !== "object" || operation === null) return [];
  const { path, value } = operation as { path?: unknown; value?: unknown };
  const keys = typeof path === "string" ? pointerKeys(path).filter((key) => !/^(?:\d+|-)$/.test(key)) : [];
  return scalarsAt(value, keys);
}
