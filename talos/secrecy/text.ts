/**
 * Secrets inside texts: arguments, kernel command lines, files, scripts, JSON and YAML in strings, addresses. The grammar of a text given to a node is unknown,
 * so an unquoted secret extends to the end of its line: better to redact too much.
 */
import { passwordsInAddresses } from "./addresses.ts";
import { isPublicName, isSecretName } from "./names.ts";
import { isHarmlessValue, looksRandom, tokensIn } from "./shapes.ts";

/** A part of a text: from the first index up to the second, exclusive. */
export type Span = readonly [start: number, end: number];

/** Replaces a secret: with a tag if there is a key to derive it from. */
const MARK = /«secret [0-9a-f]{8}»|\[secret\]/;
const ALL_MARKS = new RegExp(MARK, "g");

/** Whether the text is only a mark. */
export function isMark(text: string): boolean {
  return MARK.exec(text)?.[0] === text;
}

/** The text with a mark in place of every secret in it. @param whole it is one entry of a variable list, `NAME=value` */
export function scrubSecrets(text: string, mark: (secret: string) => string, whole = false): string {
  const spans = secretSpans(text, whole);
  let [result, done] = ["", 0];
  for (const [start, end] of spans) {
    result += text.slice(done, start) + mark(text.slice(start, end));
    done = end;
  }
  return result + text.slice(done);
}

/**
 * Where a text contains secrets, in order and without overlaps.
 * @param whole see `scrubSecrets` @param sure without words that only look random: an unlabeled digest looks the same
 */
export function secretSpans(given: string, whole = false, sure = false): Span[] {
  if (given.length < 4) return [];
  // A mark itself contains "secret", and may be part of an address.
  const marks = [...given.matchAll(ALL_MARKS)].map(({ index, 0: mark }): Span => [
    index,
    index + mark.length,
  ]);
  const text = marks.length === 0 ? given : given.replaceAll(ALL_MARKS, (mark) => "█".repeat(mark.length));
  const found: Span[] = [
    ...tokensIn(text),
    ...passwordsInAddresses(text),
    ...secretsInHeaders(text),
    ...secretsInAssignments(text, whole),
    ...secretsInFlags(text),
    ...secretsAfterWords(text),
    ...secretsInPairs(text),
    ...secretsInPipes(text),
    ...(sure ? [] : randomLookingWords(text)),
  ];
  return mergeSpans(found.flatMap((span) => subtractMarks(span, marks))).filter(([start, end]) =>
    /[\p{L}\p{N}]/u.test(text.slice(start, end)),
  );
}

/** A user-facing message without recognizable secrets: keys, tokens, passwords in addresses. Values after names stay: they are what the message is about. */
export function withoutTokens(text: string, mark: string): string {
  return mergeSpans([...tokensIn(text), ...passwordsInAddresses(text)])
    .toReversed()
    .reduce((rest, [start, end]) => `${rest.slice(0, start)}${mark}${rest.slice(end)}`, text);
}

function mergeSpans(spans: readonly Span[]): Span[] {
  const result: [number, number][] = [];
  for (const [start, end] of spans.toSorted(([a], [b]) => a - b)) {
    const last = result.at(-1);
    if (last !== undefined && start <= last[1]) last[1] = Math.max(last[1], end);
    else result.push([start, end]);
  }
  return result;
}

function subtractMarks([start, end]: Span, marks: readonly Span[]): Span[] {
  return marks.reduce<Span[]>(
    (rest, [from, to]) =>
      rest.flatMap(([a, b]): Span[] =>
        to <= a || from >= b ? [[a, b]] : [[a, from] as const, [to, b] as const].filter(([x, y]) => x < y),
      ),
    [[start, end]],
  );
}

function secretsInHeaders(text: string): Span[] {
  return [...text.matchAll(/\b(?:Bearer|Basic|Digest|Token|ApiKey|Negotiate)\s+([^\s"',;«»]+)/g)].flatMap(
    ({ index, 0: all, 1: credentials = "" }): Span[] =>
      /^Token/.test(all) && credentials.length < 8
        ? []
        : [[index + all.length - credentials.length, index + all.length]],
  );
}

/** `name=value`, `name: value`, `"name": "value"` and the like, and the lines of a section with such a name. */
function secretsInAssignments(text: string, whole: boolean): Span[] {
  const assignment =
    /(?<![\p{L}\p{N}_.-])([\p{L}\p{N}_.-]+)(\\*["'])?(?:\[[\w.-]*\]|\])?[ \t]*(:=|=>|={1,2}|:)[ \t]*/gu;
  const spans: Span[] = [];
  for (let match = assignment.exec(text); match !== null; match = assignment.exec(text)) {
    const [all, name = "", , sign = ""] = match;
    // An address: https://…
    if (sign === ":" && text.startsWith("//", match.index + all.length)) continue;
    const isQuery = /[?&]/.test(text[match.index - 1] ?? "");
    if (!isSecretName(name) && !(isQuery && /^(?:x-amz-)?(?:sig|signature|code|key|auth)$/i.test(name)))
      continue;
    const start = match.index + all.length;
    const end = endOfValue(text, { start, name: match.index, isQuery, whole });
    if (!isHarmlessValue(text.slice(start, end))) spans.push(valueSpan(text, start, end));
    spans.push(...blockSpans(text, match.index, start));
    assignment.lastIndex = Math.max(start, end);
  }
  return spans;
}

/** Without quotes and JSON separators. */
function valueSpan(text: string, start: number, end: number): Span {
  const value = text.slice(start, end);
  const quote = /^\\*["']/.exec(value)?.[0];
  if (quote === undefined) return [start, start + value.trimEnd().length];
  const close = value.trimEnd().lastIndexOf(quote);
  return close > 0 && /^[\s,;)}\]]*$/.test(value.slice(close + quote.length))
    ? [start + quote.length, start + close]
    : [start + quote.length, end];
}

interface Place {
  start: number;
  /** The index of the name. */
  name: number;
  isQuery: boolean;
  whole: boolean;
}

function endOfValue(text: string, { start, name, isQuery, whole }: Place): number {
  const line = endOfLine(text, start);
  const before = text.slice(text.lastIndexOf("\n", name - 1) + 1, name);
  if (whole && text.slice(0, name).trim() === "") return text.length;
  const quoted = endOfQuotes(text, start);
  if (quoted !== undefined) return quoted;
  if (isQuery) return start + (/^[^\s&"'<>#\\]*/.exec(text.slice(start, line))?.[0].length ?? 0);
  // A separate line is all value: `CHAP_PASSWORD=abc 77`.
  if (
    /^[\s"'#;-]*(?:(?:export|set|ENV|env|local|declare|readonly)\s+)*["']?$/.test(before) &&
    !/(?:^|\s)--?$/.test(before)
  )
    return line;
  const next = /[ \t]+(?=--?[A-Za-z]|[\w.-]+=|\|)/.exec(text.slice(start, line));
  return next === null ? line : start + next.index;
}

/** The end of a quoted value; undefined if it isn't quoted, or continues after the quotes. */
function endOfQuotes(text: string, start: number): number | undefined {
  const rest = text.slice(start, start + 20_000);
  const triple = /^("""|''')[\s\S]*?\1/.exec(rest);
  if (triple !== null) return start + triple[0].length;
  const quote = /^\\*["']/.exec(rest)?.[0];
  if (quote === undefined) return undefined;
  for (let at = rest.indexOf(quote, quote.length); at >= 0; at = rest.indexOf(quote, at + 1)) {
    if (rest[at - 1] === "\\") continue; // escaped one level deeper than the opening quote
    const behind = rest.slice(at + quote.length);
    return /^(?:[\s,;)}\]>&|\\]|\.\w|$)/.test(behind) ? start + at + quote.length : undefined;
  }
  return undefined;
}

/** What belongs to `name:` by indentation: a multi-line text, a list, a section. */
function blockSpans(text: string, name: number, start: number): Span[] {
  const line = endOfLine(text, start);
  const opened = text.slice(start, line).trim();
  if (!/^(?:[|>][-+\d]*|[{[(]|\\|)$/.test(opened.replace(/\s+#.*$/, ""))) return [];
  const own = indentOf(text, name);
  const spans: Span[] = [];
  for (let at = line + 1; at < text.length; at = endOfLine(text, at) + 1) {
    const next = text.slice(at, endOfLine(text, at));
    const indent = next.search(/\S/);
    if (indent < 0) continue;
    if (indent < own || (indent === own && !/^\s*-\s/.test(next))) break;
    const item = /^\s*(?:-\s+)?/.exec(next)?.[0].length ?? 0;
    if (!isHarmlessValue(next.slice(item))) spans.push([at + item, at + next.trimEnd().length]);
  }
  return spans;
}

function indentOf(text: string, at: number): number {
  const begin = text.lastIndexOf("\n", at - 1) + 1;
  return (
    at -
    begin -
    text
      .slice(begin, at)
      .trimStart()
      .replace(/^(?:-\s+)+/, "").length
  );
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf("\n", from);
  return end < 0 ? text.length : end;
}

/** `--password x`, `-p x`, `-u user:x`, `mysql -px`. */
function secretsInFlags(text: string): Span[] {
  const value = String.raw`("(?:[^"\\]|\\.)*"|'[^']*'|(?!--?[A-Za-z])[^\s"'«»]\S*)`;
  const spans: Span[] = [];
  for (const match of text.matchAll(
    new RegExp(String.raw`(?<![^\s"'\`(\[=])--?([A-Za-z][\w.-]*)["']?,?[ \t]+["']?${value}`, "g"),
  )) {
    const [all, flag = "", given = ""] = match;
    const [start, end] = [match.index + all.length - given.length, match.index + all.length];
    if (!isSecretFlag(flag, given)) continue;
    spans.push([USER_FLAG.test(flag) ? start + given.search(/[:%]/) + 1 : start, end]);
  }
  const glued = /\b(?:mysql\w*|mariadb\w*|sshpass|7z[ar]?|mongo\w*)\b[^\n|;&]{0,200}?\s-p(?!\s)(\S+)/g;
  for (const { index, 0: all, 1: given = "" } of text.matchAll(glued))
    spans.push([index + all.length - given.length, index + all.length]);
  return spans;
}

// curl -u user:password, smbclient -U user%password
const USER_FLAG = /^(?:u|U|user|proxy-user|auth|creds)$/;

/** Whether the value of this flag is a secret. `-p` is a port, a path or a password, depending on the value. */
export function isSecretFlag(flag: string, value: string): boolean {
  const bare = value.replace(/^["']|["']$/g, "");
  if (isHarmlessValue(bare) || /^--/.test(bare)) return false;
  const name = flag.replace(/^-+/, "");
  if (/^(?:p|P|w)$/.test(name)) return !/^(?:[\d.:/-]+(?:\/(?:tcp|udp))?|[./~].*|-.*|\$.*)$/.test(bare);
  if (USER_FLAG.test(name)) return /^[^\s:%/]+[:%][^\s/]/.test(bare) && !/^\d+:\d+$/.test(bare);
  return isSecretName(name);
}

/** A name followed by its value: `requirepass x`, `incominguser name x`, `login a password x`, `password "x"`. */
function secretsAfterWords(text: string): Span[] {
  const forms = [
    /^[ \t]*(?:set[ \t]+|ENV[ \t]+|\w+[ \t]+)?(?:\w*pass(?:word|wd|phrase)?|masterauth|secret|token|psk|pin|[rw][ow]community|\w+_(?:PASS(?:WORD)?|TOKEN|SECRET|KEY|PAT|PSK|PIN))[ \t]+(\S+)[ \t]*;?[ \t]*$/gim,
    /^[ \t]*(?:incominguser|outgoinguser|rpcuser)[ \t]+\S+[ \t]+(\S.*)$/gim,
    /\b(?:password|passwd|passphrase|secret)[ \t]+(\S+)[ \t]*;?$/gm,
    /-n[ \t]+\S*(?:password|username)\S*[ \t]+-v[ \t]+(\S+)/g, // iscsiadm
    /\b(?:login|user|username|account)[ \t]+\S+[ \t]+(?:password|passwd|pass|secret)[ \t]+(\S+)/gi,
    /\b(?:\w*pass(?:word|wd|phrase)?|\w*secret|\w*token|psk|xauth|eap|chap|pap|pin)[ \t(]+("(?:[^"\\\n]|\\.)+"|'[^'\n]+')/gi,
  ];
  return forms.flatMap((form) =>
    [...text.matchAll(form)].flatMap(({ index, 0: all, 1: value = "" }): Span[] => {
      const start = index + all.lastIndexOf(value);
      return isHarmlessValue(value) || /^[=:|>]/.test(value) ? [] : [[start, start + value.length]];
    }),
  );
}

/** `<password>x</password>`, `<add key="password" value="x"/>`, `{ name: PASSWORD, value: x }` */
function secretsInPairs(text: string): Span[] {
  const elements = [...text.matchAll(/<([\w.:-]+)(?:\s[^<>]*)?>([^<>]+)<\//g)].map(
    ({ index, 0: all, 1: name = "", 2: value = "" }) => ({
      name,
      start: index + all.length - 2 - value.length,
      value,
    }),
  );
  const pairs = [
    ...text.matchAll(/\b(?:key|name|id|property)=["']([\w.:-]+)["'][^<>]{0,300}?\bvalue=["']([^"']+)["']/gi),
  ].map(({ index, 0: all, 1: name = "", 2: value = "" }) => ({
    name,
    start: index + all.length - 1 - value.length,
    value,
  }));
  // A container's variable: `- name: X` followed by `value: y`.
  const variables = [
    ...text.matchAll(
      /\bname\\*["']?:[ \t]*\\*["']?([\w.-]+)\\*["']?,?\s+\\*["']?value\\*["']?:[ \t]*(\S[^\n]*)/g,
    ),
  ].map(({ index, 0: all, 1: name = "", 2: value = "" }) => ({
    name,
    start: index + all.length - value.length,
    value,
  }));
  return [...elements, ...pairs, ...variables].flatMap(({ name, start, value }): Span[] =>
    isSecretName(name) && !isHarmlessValue(value) ? [[start, start + value.length]] : [],
  );
}

/** What a script pipes to a program that reads a password: `echo x | docker login --password-stdin`. */
function secretsInPipes(text: string): Span[] {
  const reader = String.raw`(?:--password-stdin|--stdin|passwd|chpasswd|cryptsetup|kinit|smbpasswd|sudo\s+-S|login)`;
  const echo = new RegExp(
    String.raw`\b(?:echo|printf)\s+(?:-\w+\s+)*([^|\n]{1,300}?)\s*\|[^\n]{0,200}?${reader}`,
    "g",
  );
  const here = new RegExp(String.raw`${reader}[^\n]{0,100}?<<<\s*([^\n]+)`, "g");
  return [
    ...[...text.matchAll(echo)].map(({ index, 0: all, 1: value = "" }): Span => {
      const start = index + all.indexOf(value);
      return [start, start + value.length];
    }),
    ...[...text.matchAll(here)].map(({ index, 0: all, 1: value = "" }): Span => [
      index + all.length - value.length,
      index + all.length,
    ]),
  ];
}

/** Words that look like keys and tokens, except values that are public by name or place: digests, factory images, public keys. */
function randomLookingWords(text: string): Span[] {
  return [...text.matchAll(/[A-Za-z0-9+/_-]{20,}={0,2}/g)].flatMap(({ index, 0: word }): Span[] => {
    if (!word.split("/").some(looksRandom) && !looksRandom(word)) return [];
    const before = text.slice(Math.max(0, index - 80), index);
    const behind = text.slice(index + word.length, index + word.length + 3);
    if (/(?:sha\d+[:-]|md5:|@)$/i.test(before) || /\b(?:ssh-\w+|ecdsa-[\w-]+|sk-[\w-]+@\S+)\s+$/.test(before))
      return [];
    if (
      /(?:^|\/)[0-9a-f]{64}(?:\/v\d+)?$/.test(word) &&
      /^(?:$|[:.\s?"'])/.test(behind) &&
      `${before}${word}`.includes("/")
    )
      return [];
    const name = /([\p{L}\p{N}_.-]+)\\*["']?[ \t]*[:=]+[ \t]*\\*["']?$/u.exec(before)?.[1];
    if (name !== undefined && isPublicName(name)) return [];
    if (isCertificateBody(text, index)) return [];
    return [[index, index + word.length]];
  });
}

/** In a certificate or a public key everything looks random. */
function isCertificateBody(text: string, at: number): boolean {
  const begin = text.lastIndexOf("-----BEGIN ", at);
  if (begin < 0 || text.indexOf("-----END ", begin) < at)
    return /^LS0tLS1CRUdJTi(?!.*(?:UFJJVkFURS|FJJVkFUR|BSSVZBVE))/.test(text.slice(at, at + 200));
  return !/^-----BEGIN [A-Z0-9 ]*PRIVATE/.test(text.slice(begin, begin + 60));
}
