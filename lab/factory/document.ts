import { createHash } from "node:crypto";
import { Document, parse, Scalar, stringify, visit } from "yaml";

// The factory's own reading of a schematic, on purpose not the program's (`talos/schematic.ts`): if the program
// computed an ID wrongly, asking the program's code here would hide it.
// Fields and their order: siderolabs/image-factory v1.5.0 pkg/schematic/schematic.go.

/** What the factory has against a document; it answers 400 with it. */
export class InvalidSchematicError extends Error {
  constructor(path: string, reason: string) {
    super(path === "" ? reason : `${path}: ${reason}`);
    this.name = "InvalidSchematicError";
  }
}

/** A document that the real factory may well take; the stand-in cannot tell how it would write it. */
export class UnsupportedSchematicError extends Error {
  constructor(text: string) {
    super(
      `the stand-in of the image factory cannot tell the canonical form of the string ${JSON.stringify(text)}`,
    );
    this.name = "UnsupportedSchematicError";
  }
}

export interface FactorySchematic {
  id: string;
  /** The canonical document, whose SHA-256 the ID is. */
  yaml: string;
  extensions: string[];
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

interface Field {
  key: string;
  read: (value: Json, path: string) => Json;
  /** Written even if empty. */
  always?: true;
}

const overlayFields: Field[] = [
  { key: "image", read: readText, always: true },
  { key: "name", read: readText, always: true },
  { key: "options", read: readOptions },
];

const customizationFields: Field[] = [
  { key: "embeddedMachineConfiguration", read: readText },
  { key: "extraKernelArgs", read: readTexts },
  { key: "meta", read: readMetaValues },
  { key: "systemExtensions", read: recordReader([{ key: "officialExtensions", read: readTexts }]) },
  { key: "bootloader", read: oneOfReader("none", "dual-boot", "sd-boot", "grub") },
  {
    key: "secureboot",
    read: recordReader([
      { key: "enrollKeys", read: readText },
      { key: "includeWellKnownCertificates", read: readFlag },
    ]),
  },
  { key: "diskImage", read: recordReader([{ key: "sectorSize", read: unsignedReader(2 ** 32) }]) },
];

const schematicFields: Field[] = [
  { key: "owner", read: readOwner },
  { key: "overlay", read: recordReader(overlayFields) },
  { key: "customization", read: recordReader(customizationFields), always: true },
];

/** @throws InvalidSchematicError for what the factory refuses: unknown keys and wrong types among it. */
export function readSchematic(source: string): FactorySchematic {
  let document: Json;
  try {
    document = parse(source) as Json;
  } catch (error) {
    throw new InvalidSchematicError("", error instanceof Error ? error.message : String(error));
  }
  if (document === null) {
    // The decoder of the real one stops at an empty document.
    throw new InvalidSchematicError("", "EOF");
  }
  const canonical = recordReader(schematicFields)(document, "") as { customization: Json };
  const yaml = toGoYaml(canonical);
  const { systemExtensions } = canonical.customization as {
    systemExtensions?: { officialExtensions: string[] };
  };
  return {
    id: createHash("sha256").update(yaml).digest("hex"),
    yaml,
    extensions: systemExtensions?.officialExtensions ?? [],
  };
}

function recordReader(fields: Field[]): (value: Json, path: string) => Json {
  return (value, path) => {
    const given = value ?? {};
    if (typeof given !== "object" || Array.isArray(given)) {
      throw new InvalidSchematicError(path, "a mapping is needed");
    }
    const unknownKey = Object.keys(given).find((key) => !fields.some((field) => field.key === key));
    if (unknownKey !== undefined) {
      throw new InvalidSchematicError(joinPath(path, unknownKey), "unknown field");
    }
    const kept: Record<string, Json> = {};
    for (const { key, read, always } of fields) {
      const field = read(given[key] ?? null, joinPath(path, key));
      if (!isEmpty(field) || (always === true && !allEmpty(given))) {
        kept[key] = field;
      } else if (always === true && path === "") {
        kept[key] = {};
      }
    }
    return kept;
  };
}

/** A record of zero values is omitted as a whole where its key may be, so its always-written fields do not count then. */
function allEmpty(given: Record<string, Json>): boolean {
  return Object.values(given).every(isEmpty);
}

function isEmpty(value: Json): boolean {
  if (value === null || value === "" || value === 0 || value === false) {
    return true;
  }
  return typeof value === "object" && Object.keys(value).length === 0;
}

function readText(value: Json, path: string): Json {
  if (value !== null && typeof value === "object") {
    throw new InvalidSchematicError(path, "a string is needed");
  }
  // Go decodes any scalar into a string.
  return value === null ? "" : String(value);
}

function readTexts(value: Json, path: string): Json {
  if (value === null) {
    return [];
  }
  if (!Array.isArray(value)) {
    throw new InvalidSchematicError(path, "a list of strings is needed");
  }
  return value.map((element, index) => readText(element, `${path}[${index}]`));
}

function readFlag(value: Json, path: string): Json {
  if (value !== null && typeof value !== "boolean") {
    throw new InvalidSchematicError(path, "true or false is needed");
  }
  return value;
}

function unsignedReader(limit: number): (value: Json, path: string) => Json {
  return (value, path) => {
    if (
      value !== null &&
      !(typeof value === "number" && Number.isInteger(value) && value >= 0 && value < limit)
    ) {
      throw new InvalidSchematicError(path, `a whole number below ${limit} is needed`);
    }
    return value ?? 0;
  };
}

function oneOfReader(...allowed: string[]): (value: Json, path: string) => Json {
  return (value, path) => {
    if (value !== null && !(typeof value === "string" && (value === "" || allowed.includes(value)))) {
      throw new InvalidSchematicError(path, `one of ${allowed.join(", ")} is needed`);
    }
    // The first bootloader kind is the zero value, which is not written.
    return value === "none" ? "" : value;
  };
}

function readMetaValues(value: Json, path: string): Json {
  if (value === null) {
    return [];
  }
  if (!Array.isArray(value)) {
    throw new InvalidSchematicError(path, "a list is needed");
  }
  return value.map((element, index) => {
    const at = `${path}[${index}]`;
    if (element === null || typeof element !== "object" || Array.isArray(element)) {
      throw new InvalidSchematicError(at, "a mapping with key and value is needed");
    }
    const { key = null, value: content = null, ...rest } = element;
    const [unknownKey] = Object.keys(rest);
    if (unknownKey !== undefined) {
      throw new InvalidSchematicError(joinPath(at, unknownKey), "unknown field");
    }
    return { key: unsignedReader(256)(key, `${at}.key`), value: readText(content, `${at}.value`) };
  });
}

function readOptions(value: Json, path: string): Json {
  if (value === null) {
    return {};
  }
  if (typeof value !== "object" || Array.isArray(value)) {
    throw new InvalidSchematicError(path, "a mapping is needed");
  }
  return sortKeys(value);
}

/** Go writes the keys of a map in order, at every depth. */
function sortKeys(value: Json): Json {
  if (value === null || typeof value !== "object") {
    return value;
  }
  if (Array.isArray(value)) {
    return value.map(sortKeys);
  }
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sortKeys(value[key] ?? null)]),
  );
}

function readOwner(value: Json, path: string): Json {
  const name = readText(value, path);
  if (name !== "") {
    throw new InvalidSchematicError(path, "owner field is only supported in Enterprise edition");
  }
  return name;
}

function joinPath(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}

// What Go's encoder puts in double quotes: a string that a reader would take for something else.
const LOOKS_LIKE_ANOTHER_TYPE = new RegExp(
  [
    "|~|<<|null|Null|NULL|true|True|TRUE|false|False|FALSE",
    "y|Y|n|N|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF",
    "[-+]?\\.(inf|Inf|INF)|\\.(nan|NaN|NAN)",
    "[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+)",
    "[-+]?([0-9][0-9_]*(\\.[0-9_]*)?|\\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?",
    "[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\\.[0-9_]*)?",
    "\\d{4}-\\d\\d?-\\d\\d?.*",
  ]
    .map((alternative) => `^(${alternative})$`)
    .join("|"),
);

/** Where the two encoders' rules for quoting were seen to agree; of the rest the stand-in claims nothing. */
const UNDERSTOOD = /^[\n\x20-\x7e\xa1-\u1fff]*$/;

const LAYOUT = { indent: 4, indentSeq: true, lineWidth: 0, blockQuote: "literal" } as const;

/** Four spaces, sequences indented too, no line breaking: the layout of go.yaml.in/yaml/v4. */
function toGoYaml(value: Json): string {
  const document = new Document(value);
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value === "string") {
        node.type = styleOf(node.value);
      }
    },
  });
  // In an item of a list Go counts a block's indentation from the list's column, the library from the item's.
  return stringify(document, LAYOUT).replace(/^ {10}value: \|-\n(?:(?: {14}.*)?\n)+/gm, (block) =>
    block.replace(/^ {14}/gm, " ".repeat(12)),
  );
}

function styleOf(text: string): Scalar.Type {
  // Whether digits with underscores are a number has rules of its own in Go.
  if (/^[-+.0-9]*_/.test(text)) {
    throw new UnsupportedSchematicError(text);
  }
  if (!UNDERSTOOD.test(text) || /^ *\n|^ .*\n|[ ]\n|\n.* $|\n$/.test(text)) {
    throw new UnsupportedSchematicError(text);
  }
  if (text.includes("\n")) {
    return Scalar.BLOCK_LITERAL;
  }
  if (LOOKS_LIKE_ANOTHER_TYPE.test(text)) {
    return Scalar.QUOTE_DOUBLE;
  }
  const needsQuotes = /^(---|\.\.\.)|^ *$/.test(text) || /^["']/.test(stringify(text, LAYOUT));
  return needsQuotes ? Scalar.QUOTE_SINGLE : Scalar.PLAIN;
}
