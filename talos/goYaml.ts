/**
 * YAML as Go's go.yaml.in/yaml/v4 writes it (`yaml.Marshal`, v4.0.0-rc.4, which the Image Factory pins up to 1.4; 1.5 writes the same). A schematic's ID is the
 * hash of these bytes, so every quote and space counts. JavaScript's YAML writers quote, wrap and order differently, hence this one: only what a schematic can
 * contain, and only writing.
 *
 * test/tools/schematicDifferential.test.ts compares it with the factory's own package.
 */
import { compareKeys } from "./goYamlKeys.ts";
import {
  isBlank,
  isBreak,
  isPrintable,
  isSpaceForGo,
  plainMeansString,
  resolvesToString,
} from "./goYamlScalar.ts";

/** A value as Go's `any` would hold it after reading JSON or YAML; objects are maps, whose keys are sorted. */
export type GoValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly GoValue[]
  | GoStruct
  | GoPlain
  | GoNode
  | { readonly [key: string]: GoValue };

/** A Go struct: its fields keep their order. */
export class GoStruct {
  readonly fields: readonly (readonly [name: string, value: GoValue])[];

  constructor(fields: readonly (readonly [name: string, value: GoValue])[]) {
    this.fields = fields;
  }
}

/** A scalar that is not a string, as its type writes it: `0o644`. */
export class GoPlain {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A string that its type writes as a node: without the quotes that older parsers would need. */
export class GoNode {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const INDENT = 4;
/** Longer keys, in UTF-8 bytes, get the explicit form `? key`. */
const LONGEST_SIMPLE_KEY = 128;

/**
 * Writes a document, including the final line break. `portable` uses double quotes where the library's own form of a text can't be read back (leading white
 * space in a block scalar, Unicode line separators): not for hashing.
 */
export function marshalGoYaml(value: GoValue, { portable = false } = {}): string {
  const page = new Page(portable);
  writeValue(page, value, -1, "document");
  page.startLine(0);
  return page.text;
}

/** A node's parent, which decides how far its content is indented. */
type Place = "document" | "sequence" | "mapping" | "simple key";

/**
 * The text so far and the emitter's state: whether the last output was white space, and whether this line contains only indentation and indicators, so that a
 * block collection may start on it (`- - x`).
 */
class Page {
  text = "";
  column = 0;
  readonly portable: boolean;
  #space = true;
  #onlyIndentation = true;

  constructor(portable: boolean) {
    this.portable = portable;
  }

  /** Moves to a column, on a new line unless this one contains only indentation up to there. */
  startLine(indent: number): void {
    if (!this.#onlyIndentation || this.column > indent || (this.column === indent && !this.#space))
      this.break("\n");
    while (this.column < indent) this.put(" ");
    this.#space = true;
  }

  indicator(text: string, options: { spaceBefore: boolean; indents?: boolean }): void {
    if (options.spaceBefore && !this.#space) this.put(" ");
    this.put(text);
    this.#space = false;
    this.#onlyIndentation &&= options.indents === true;
  }

  break(character: string): void {
    this.text += character;
    this.column = 0;
    this.#onlyIndentation = true;
  }

  /** Writes scalar text; white space in it doesn't count as separation. */
  content(character: string): void {
    this.put(character);
    this.#onlyIndentation = false;
  }

  /** Writes a space before a plain scalar unless there is one. */
  separate(): void {
    if (!this.#space) this.put(" ");
  }

  endScalar(): void {
    this.#space = false;
    this.#onlyIndentation = false;
  }

  /** Ends the header line of a block scalar: its text starts on the next one. */
  endHeader(): void {
    this.break("\n");
    this.#space = true;
  }

  private put(text: string): void {
    this.text += text;
    this.column += [...text].length;
  }
}

function innerIndent(indent: number, place: Place): number {
  if (indent < 0) return 0;
  // In a sequence only the "- " counts; everything else is indented to the next multiple of four.
  return place === "sequence" ? indent + 2 : INDENT * Math.floor((indent + INDENT) / INDENT);
}

function writeValue(page: Page, value: GoValue, indent: number, place: Place): void {
  if (isList(value)) writeSequence(page, value, indent, place);
  else if (value instanceof GoStruct) writeMapping(page, value.fields, indent, place);
  else if (value instanceof GoPlain) writePlain(page, value.text);
  else if (value instanceof GoNode) writeString(page, value.text, indent, place, resolvesToString);
  else if (typeof value === "object" && value !== null)
    writeMapping(page, sortedEntries(value), indent, place);
  else if (typeof value === "string") writeString(page, value, indent, place);
  else
    writePlain(page, value === null ? "null" : typeof value === "number" ? goNumber(value) : String(value));
}

// Array.isArray doesn't narrow readonly lists.
function isList(value: GoValue): value is readonly GoValue[] {
  return Array.isArray(value);
}

function writeSequence(page: Page, items: readonly GoValue[], indent: number, place: Place): void {
  if (items.length === 0) return page.indicator("[]", { spaceBefore: true });
  const inner = innerIndent(indent, place);
  for (const item of items) {
    page.startLine(inner);
    page.indicator("-", { spaceBefore: true, indents: true });
    writeValue(page, item, inner, "sequence");
  }
}

type Entries = readonly (readonly [string, GoValue])[];

function writeMapping(page: Page, entries: Entries, indent: number, place: Place): void {
  if (entries.length === 0) return page.indicator("{}", { spaceBefore: true });
  const inner = innerIndent(indent, place);
  for (const [key, value] of entries) {
    page.startLine(inner);
    const simple = ![...key].some(isBreak) && Buffer.byteLength(key) <= LONGEST_SIMPLE_KEY;
    if (simple) {
      writeString(page, key, inner, "simple key");
      page.indicator(":", { spaceBefore: false });
    } else {
      page.indicator("?", { spaceBefore: true, indents: true });
      writeString(page, key, inner, "mapping");
      page.startLine(inner);
      page.indicator(":", { spaceBefore: true, indents: true });
    }
    writeValue(page, value, inner, "mapping");
  }
}

/**
 * A number as Go writes it: safe integers as int, others as float64 with the shortest digits that round-trip, in exponent form below 1e-4 and from 1e+6
 * (strconv.FormatFloat with 'g', -1).
 */
function goNumber(value: number): string {
  if (Number.isSafeInteger(value)) return String(value === 0 ? 0 : value);
  if (Number.isNaN(value)) return ".nan";
  if (!Number.isFinite(value)) return value > 0 ? ".inf" : "-.inf";
  const [mantissa = "", exponent = ""] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power < -4 || power >= 6) {
    return `${mantissa}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  return String(value);
}

function writePlain(page: Page, text: string): void {
  page.separate();
  for (const character of text) page.content(character);
  page.endScalar();
}

type Style = "plain" | "single" | "double" | "literal";

function writeString(
  page: Page,
  text: string,
  indent: number,
  place: Place,
  mayBePlain = plainMeansString,
): void {
  const style = page.portable && !readsBack(text) ? "double" : styleOf(text, place, mayBePlain);
  if (style === "plain") return writePlain(page, text);
  const inner = innerIndent(indent, place);
  if (style === "literal") writeLiteral(page, text, inner);
  else if (style === "single") writeSingleQuoted(page, text, inner);
  else writeDoubleQuoted(page, text);
}

/** Whether all parsers read this text's block and quoted forms back unchanged. */
function readsBack(text: string): boolean {
  return !/[\u2028\u2029]/.test(text) && !(text.includes("\n") && /^[\n \t]/.test(text));
}

function styleOf(text: string, place: Place, mayBePlain: (text: string) => boolean): Style {
  const allowed = allowedStyles(text);
  if (text.includes("\n")) {
    // Literal style needs a visible character; a text of only white space is quoted.
    const visible = [...text].some((character) => !isSpaceForGo(character));
    return visible && allowed.literal && place !== "simple key" ? "literal" : "double";
  }
  if (!mayBePlain(text)) return "double";
  if (allowed.plain && text !== "") return "plain";
  return allowed.single ? "single" : "double";
}

interface Allowed {
  readonly plain: boolean;
  readonly single: boolean;
  readonly literal: boolean;
}

/** The styles that can represent the text in block context. */
function allowedStyles(text: string): Allowed {
  const characters = [...text];
  const last = characters.length - 1;
  let indicator = text.startsWith("---") || text.startsWith("...");
  let [breaks, special, tab, breakThenSpace, spaceThenBreak] = [false, false, false, false, false];
  let before: "space" | "break" | "other" = "other";

  for (const [i, character] of characters.entries()) {
    const next = characters[i + 1];
    const previous = characters[i - 1];
    indicator ||= isIndicator(character, { previous, next });
    if (character === "\t") tab = true;
    else if (!isPrintable(character)) special = true;
    if (character === " ") {
      breakThenSpace ||= before === "break";
      before = "space";
    } else if (isBreak(character)) {
      breaks = true;
      spaceThenBreak ||= before === "space";
      before = "break";
    } else {
      before = "other";
    }
  }

  const [first = "", end = ""] = [characters[0], characters[last]];
  const edge = first === " " || end === " " || isBreak(first) || isBreak(end);
  return {
    plain: !(indicator || edge || breaks || breakThenSpace || spaceThenBreak || tab || special),
    single: !(breakThenSpace || spaceThenBreak || tab || special),
    literal: !(end === " " || spaceThenBreak || special),
  };
}

/** Whether this character makes a plain scalar read as something else. */
function isIndicator(
  character: string,
  { previous, next }: { previous: string | undefined; next: string | undefined },
): boolean {
  const spaceFollows = next === undefined || isBlank(next);
  if (previous === undefined) {
    return "#,[]{}&*!|>'\"%@`".includes(character) || ("?:-".includes(character) && spaceFollows);
  }
  if (character === ":") return spaceFollows;
  return character === "#" && (isBlank(previous) || isBreak(previous) || previous === "\0");
}

function writeLiteral(page: Page, text: string, indent: number): void {
  page.indicator("|", { spaceBefore: true });
  // The hint is always the full indent, even where "- " indents by only two; later releases of the library fix that.
  if (text.startsWith(" ")) page.indicator(String(INDENT), { spaceBefore: false });
  const tail = [...text].slice(-2);
  const endsInBreak = isBreak(tail.at(-1) ?? "");
  if (!endsInBreak) page.indicator("-", { spaceBefore: false });
  else if (tail.length === 1 || isBreak(tail[0] ?? "")) page.indicator("+", { spaceBefore: false });
  page.endHeader();
  writeLines(page, text, indent, true);
}

function writeSingleQuoted(page: Page, text: string, indent: number): void {
  page.indicator("'", { spaceBefore: true });
  writeLines(page, text.replaceAll("'", "''"), indent, false);
  page.indicator("'", { spaceBefore: false });
  page.endScalar();
}

/** Writes text unchanged; the first character after line breaks is indented. */
function writeLines(page: Page, text: string, indent: number, atLineStart: boolean): void {
  let afterBreak = atLineStart;
  for (const character of text) {
    if (isBreak(character)) {
      page.break(character);
      afterBreak = true;
    } else {
      if (afterBreak) page.startLine(indent);
      page.content(character);
      afterBreak = false;
    }
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\0": "0",
  "\x07": "a",
  "\b": "b",
  "\t": "t",
  "\n": "n",
  "\v": "v",
  "\f": "f",
  "\r": "r",
  "\x1b": "e",
  '"': '"',
  "\\": "\\",
  "\x85": "N",
  "\xa0": "_",
  "\u2028": "L",
  "\u2029": "P",
};

function writeDoubleQuoted(page: Page, text: string): void {
  page.indicator('"', { spaceBefore: true });
  // For each character the library checks for a byte order mark at the text's start, and so escapes the whole text.
  const all = text.startsWith("\ufeff");
  for (const character of text) page.content(escaped(character, all));
  page.indicator('"', { spaceBefore: false });
  page.endScalar();
}

function escaped(character: string, all: boolean): string {
  const asItIs = isPrintable(character) && !isBreak(character) && character !== '"' && character !== "\\";
  if (asItIs && !all) return character;
  const short = ESCAPES[character];
  if (short !== undefined) return `\\${short}`;
  const code = character.codePointAt(0) ?? 0;
  const [letter, width] = code <= 0xff ? ["x", 2] : code <= 0xffff ? ["u", 4] : ["U", 8];
  return `\\${letter}${code.toString(16).toUpperCase().padStart(width, "0")}`;
}

function sortedEntries(map: { readonly [key: string]: GoValue }): Entries {
  return Object.entries(map).sort(([a], [b]) => compareKeys(a, b));
}
