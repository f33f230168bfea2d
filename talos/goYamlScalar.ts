/** How go.yaml.in/yaml/v4 classifies characters and plain scalars. The read-only counterpart of goYaml.ts. */

/** Line breaks of YAML 1.1, including Unicode's next line and the line and paragraph separators. */
export function isBreak(character: string): boolean {
  return /^[\n\r\x85\u2028\u2029]$/.test(character);
}

export function isBlank(character: string): boolean {
  return character === " " || character === "\t";
}

/** Go's unicode.IsSpace. */
export function isSpaceForGo(character: string): boolean {
  return /^[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$/.test(character);
}

/** Whether the character may be written as is. Nothing beyond the basic plane may, nor the byte order mark. */
export function isPrintable(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  if (code === 0x0a || (code >= 0x20 && code <= 0x7e)) return true;
  return (code >= 0xa0 && code <= 0xd7ff) || (code >= 0xe000 && code <= 0xfffd && code !== 0xfeff);
}

// Words that YAML 1.1 read as booleans; the library quotes them for older parsers.
const OLD_BOOLEAN = /^(?:[yYnN]|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$/;
const BASE_60 = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/;
const KEYWORD =
  /^(?:|~|null|Null|NULL|true|True|TRUE|false|False|FALSE|<<|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;

/** Whether the library writes this string without quotes: they are not needed, for older parsers either. */
export function plainMeansString(text: string): boolean {
  return resolvesToString(text) && !OLD_BOOLEAN.test(text) && !BASE_60.test(text);
}

/** Whether the text, written without quotes, would be read back as this very string. */
export function resolvesToString(text: string): boolean {
  if (KEYWORD.test(text)) return false;
  if (/^[-+0-9]/.test(text))
    return !(isTimestamp(text) || isInteger(text) || isFloat(text.replaceAll("_", "")));
  if (text.startsWith(".")) return !isFloat(text);
  return true;
}

// strconv.ParseInt with base 0, underscores removed: 10, -010, 0x1F, 0o17, 0b101; 64 bits, signed or not.
export function isInteger(text: string): boolean {
  const match = /^([-+]?)(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)$/.exec(
    text.replaceAll("_", ""),
  );
  if (match === null) return false;
  const [, sign = "", digits = ""] = match;
  const value = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits}` : digits);
  if (sign === "-") return value <= 2n ** 63n;
  return value < (sign === "+" ? 2n ** 63n : 2n ** 64n);
}

export function isFloat(text: string): boolean {
  // Go doesn't treat an overflow as a number, so it stays a string.
  return (
    /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/.test(text) && Number.isFinite(Number(text))
  );
}

const TIMESTAMP =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:[Tt](\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?(?:Z|[-+](\d\d):(\d\d)))| +(\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?)?$/;

// The formats that the library tries with time.Parse: a date, a date and a time, RFC 3339 with short fields.
export function isTimestamp(text: string): boolean {
  const match = TIMESTAMP.exec(text);
  if (match === null) return false;
  const [year = 0, month = 0, day = 0] = match.slice(1, 4).map(Number);
  const [hour, minute, second] = [match[4] ?? match[9], match[5] ?? match[10], match[6] ?? match[11]].map(
    (part) => Number(part ?? 0),
  ) as [number, number, number];
  const [zoneHour, zoneMinute] = [Number(match[7] ?? 0), Number(match[8] ?? 0)];
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return false;
  return hour < 24 && minute < 60 && second < 60 && zoneHour <= 24 && zoneMinute <= 60;
}

function daysIn(year: number, month: number): number {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] ?? 0;
}
