/**
 * Values that are secret regardless of their names: Pulumi secrets in the settings, and values from the environment. They are passed on
 * as secret inputs and are never in plain text.
 */
import { parseAllDocuments } from "yaml";
import { pointerKeys } from "../jsonPatch.ts";
import { isMark } from "./text.ts";

/** A value, and its secret place in a machine configuration. Without keys: everywhere. */
export interface KnownSecret {
  readonly value: string;
  /** The keys that lead to it, without list indexes: `["machine", "env", "API"]`. */
  readonly keys: readonly string[];
  /** Kind of its document; absent for the v1alpha1 one. */
  readonly kind?: string;
}

/** Looks up known secrets. */
export interface KnownSecrets {
  /** Whether the scalar at this place is one of them. */
  has(value: string, keys: readonly string[], kind: string | undefined): boolean;
  /** Whether it is secret everywhere. A list item's name has no place of its own. */
  is(value: string): boolean;
  /** The text with a mark in place of each distinctive secret. */
  without(text: string, mark: (secret: string) => string): string;
}

/** Whether a value can be distinguished from other text anywhere. `1`, `eth0` and `kubernetes` can't: they are secret only at their place. */
export function isDistinctive(value: string): boolean {
  return value.length >= 8 && !isMark(value) && !/^(?:[\d.:/]+|[a-z]+(?:[-._/][a-z]+)*)$/.test(value);
}

/** @param list secret everywhere, if distinctive. @param placed secret only at their place */
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

/** Names of list items may appear between the keys of a place. */
function isPathTo(keys: readonly string[], place: readonly string[]): boolean {
  let at = 0;
  for (const key of place) if (key === keys[at]) at += 1;
  return at === keys.length;
}

/** Every scalar of a patch, with its place in a machine configuration. */
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

/** Every scalar of a value at this place. */
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
