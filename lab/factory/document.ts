import { createHash } from "node:crypto";
import { Document, parse, Scalar, stringify, visit } from "yaml";

// The factory's own parser for schematics, deliberately separate from the program's (`talos/schematic.ts`): if the program
// computed a wrong ID, reusing its code here would hide that.
// Fields and their order: siderolabs/image-factory v1.5.0 pkg/schematic/schematic.go.

/** A document that the factory rejects with status 400. */
export class InvalidSchematicError extends Error {
  constructor(path: string, reason: string) {
    super(path === "" ? reason : `${path}: ${reason}`);
    this.name = "InvalidSchematicError";
  }
}

/** A document that the real factory may accept, but whose canonical form the stand-in doesn't know. */
export class UnsupportedSchematicError extends Error {
  constructor(text: string) {
    super(
      `the Image Factory stand-in does not know the canonical form of the string ${JSON.stringify(text)}`,
    );
    this.name = "UnsupportedSchematicError";
  }
}

export interface FactorySchematic {
  id: string;
  /** The canonical document; its SHA-256 is the ID. */
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

/** @throws InvalidSchematicError for what the factory rejects, such as unknown keys and wrong types. */
export function readSchematic(source: string): FactorySchematic {
  let document: Json;
  try {
    document = parse(source) as Json;
  } catch (error) {
    throw new InvalidSchematicError("", error instanceof Error ? error.message : String(error));
  }
  if (document === null) {
    // The real factory's decoder returns EOF for an empty document.
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

/** A record of zero values is omitted entirely if its key is optional, so its always-written fields don't count then. */
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
    // The first bootloader kind is the zero value, which isn't written.
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

/** Go writes map keys in sorted order, at every depth. */
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

// Strings that Go's encoder puts in double quotes: a reader would parse them as another type.
const LOOKS_LIKE_ANOTHER_TYPE = new RegExp(
  [
    "|~|<<|null|Null|NULL|true|True|TRUE|false|False|FALSE",
    "y|Y|n|N|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF",
    "[-+]?\\.(inf|Inf|INF)|\\.(nan|NaN|NAN)",
    "[-+]?(0b_*[01][01_]*|0o_*[0-7][0-7_]*|0[0-7_]+|0x_*[0-9a-fA-F][0-9a-fA-F_]*)",
    "[-+]?([0-9][0-9_]*(\\.[0-9_]*)?|\\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?",
    "[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\\.[0-9_]*)?",
    "\\d{4}-\\d\\d?-\\d\\d?.*",
  ]
    .map((alternative) => `^(${alternative})$`)
    .join("|"),
);

/** Characters for which the two encoders' quoting rules were seen to agree; the stand-in makes no claim about others. */
const UNDERSTOOD = /^[\n\x20-\x7e\xa1-\u1fff]*$/;

const LAYOUT = { indent: 4, indentSeq: true, lineWidth: 0, blockQuote: "literal" } as const;

/** Layout of go.yaml.in/yaml/v4: four spaces, indented sequences, no line wrapping. */
function toGoYaml(value: Json): string {
  const document = new Document(value);
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value === "string") {
        node.type = styleOf(node.value);
      }
    },
  });
  // In a list item, Go counts a block's indentation from the list's column, the library from the item's.
  return stringify(document, LAYOUT).replace(/^ {10}value: \|-\n(?:(?: {14}.*)?\n)+/gm, (block) =>
    block.replace(/^ {14}/gm, " ".repeat(12)),
  );
}

function styleOf(text: string): Scalar.Type {
  // Go has its own rules for whether digits with underscores are a number.
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
