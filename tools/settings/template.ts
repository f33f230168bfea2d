import { anyName } from "../../settings/jsonSchema.ts";
import { type Key } from "./keys.ts";
import { briefDefault } from "./briefDefault.ts";
import { inline } from "./inline.ts";

const indentation = "  ";
const width = 110;

/**
 * `Pulumi.template.yaml`: every key with its default. What a stack cannot do without is there; the rest is switched off by one `#`. Lines
 * with `##` explain.
 */
export function settingsTemplate(keys: Key[]): string {
  return [
    "# yaml-language-server: $schema=settings.schema.json",
    "# Every setting with its default, to copy from: docs/settings.md. Written by `npm run docs:settings`, so do not change it here.",
    "# `##` explains the key below it. A key behind a single `#` is switched off and shows its default or, where it has none, an example:",
    "# take the `#` away to set it. Passwords belong in by `pulumi config set --secret --path`, never as plain text.",
    "config:",
    ...keys.flatMap((key) => lines(key, { depth: 1, off: undefined })),
    "",
  ].join("\n");
}

interface Place {
  depth: number;
  /** Depth of the outermost key that is switched off; undefined where the key is on. */
  off: number | undefined;
}

function lines(key: Key, place: Place): string[] {
  const own = { ...place, off: place.off ?? (key.required ? undefined : place.depth) };
  const plainName = key.name === anyName ? String(key.example) : key.name;
  const name = place.depth === 1 ? `talos-iscsi:${plainName}` : plainName;
  return [...explanation(key, own), ...assignment(key, name, own)];
}

function assignment(key: Key, name: string, place: Place): string[] {
  const below = { ...place, depth: place.depth + 1 };
  const [variant] = key.variants;
  if (variant === undefined) return [line(`${name}: ${inline(shown(key))}`, place)];
  if (!key.list) return [line(`${name}:`, place), ...variant.keys.flatMap((child) => lines(child, below))];
  if (isOneLine(key)) return [line(`${name}: ${inline(briefDefault(key))}`, place)];
  const entry = variant.keys.flatMap((child) => lines(child, { ...below, depth: below.depth + 1 }));
  return [line(`${name}:`, place), ...asEntry(entry, below)];
}

function shown({ path, byDefault, example }: Key): unknown {
  const value = byDefault ?? example;
  if (value === undefined)
    throw new Error(`${path} has neither a default nor an example; give it one in tools/settings/texts.ts`);
  return value;
}

/** Entries that are all optional, such as tolerations, are named in a line of text. */
function isOneLine({ list, byDefault, variants }: Key): boolean {
  return (
    list &&
    byDefault !== undefined &&
    variants.length > 0 &&
    variants.every(({ keys }) => !keys.some(isRequired))
  );
}

/** The dash goes before the first key that is on, or in a switched-off list before the first key of all. */
function asEntry(entry: string[], { depth, off }: Place): string[] {
  const mark = off === undefined ? /^( *) {2}(?=[^ #])/ : /^( *#(?!#) *) {2}(?=[^ ])/;
  const first = entry.findIndex((text) => mark.test(text));
  const dashed = entry.map((text, index) => (index === first ? text.replace(mark, "$1- ") : text));
  // What explains the first key stands where the list's entries begin.
  return dashed.map((text, index) =>
    index < first && off === undefined ? indentation.repeat(depth) + text.trimStart() : text,
  );
}

function explanation(key: Key, place: Place): string[] {
  const others = key.variants.slice(1).map(({ when }) => when);
  const text = [
    key.description,
    ...(key.required ? ["Required."] : []),
    ...(isOneLine(key) ? [`Keys of an entry: ${key.variants.flatMap(namesOf).join(", ")}.`] : []),
    ...(others.length > 0 ? [`Other keys with ${others.join(" or ")}: docs/settings.md.`] : []),
  ].join(" ");
  return wrapped(text).map((part) => line(`# ${part}`, { ...place, off: place.off ?? place.depth }));
}

function isRequired({ required }: Key): boolean {
  return required;
}

function namesOf({ keys }: { keys: Key[] }): string[] {
  return keys.map(({ name }) => name);
}

function line(text: string, { depth, off }: Place): string {
  if (off === undefined) return indentation.repeat(depth) + text;
  if (text.startsWith("# ")) return `${indentation.repeat(off)}#${text}`;
  return `${indentation.repeat(off)}#${indentation.repeat(depth - off)}${text}`;
}

function wrapped(text: string): string[] {
  const result: string[] = [];
  let current = "";
  for (const word of text.split(" ")) {
    if (current !== "" && current.length + word.length + 1 > width) {
      result.push(current);
      current = "";
    }
    current = current === "" ? word : `${current} ${word}`;
  }
  return [...result, current];
}
