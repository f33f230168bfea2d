/** The order in which go.yaml.in/yaml/v4 writes map keys. */

/** The library's natural key order: digit runs by value, letters after everything else. */
export function compareKeys(a: string, b: string): number {
  if (a === b) return 0;
  return less([...a], [...b]) ? -1 : 1;
}

function less(a: readonly string[], b: readonly string[]): boolean {
  let afterDigits = false;
  for (let i = 0; i < a.length && i < b.length; i++) {
    const [x, y] = [a[i] ?? "", b[i] ?? ""];
    if (x === y) {
      afterDigits = isDigit(x);
      continue;
    }
    const [xLetter, yLetter] = [isLetter(x), isLetter(y)];
    if (xLetter && yLetter) return before(x, y);
    if (xLetter || yLetter) return afterDigits ? xLetter : yLetter;
    // A zero inside a number is not a leading zero.
    const inNumber = (x === "0" || y === "0") && continuesNumber(a, i);
    const [m, n] = [digitRun(a, i, inNumber), digitRun(b, i, inNumber)];
    if (m.value !== n.value) return m.value < n.value;
    if (m.end !== n.end) return m.end < n.end;
    return before(x, y);
  }
  return a.length < b.length;
}

function continuesNumber(characters: readonly string[], i: number): boolean {
  for (let j = i - 1; j >= 0 && isDigit(characters[j] ?? ""); j--) if (characters[j] !== "0") return true;
  return false;
}

function digitRun(
  characters: readonly string[],
  start: number,
  inNumber: boolean,
): { value: bigint; end: number } {
  let value = inNumber ? 1n : 0n;
  let end = start;
  for (; end < characters.length && isDigit(characters[end] ?? ""); end++) {
    // Go adds in int64, which overflows, and computes any script's digit as its distance from "0".
    value = BigInt.asIntN(64, value * 10n + BigInt((characters[end]?.codePointAt(0) ?? 0) - 0x30));
  }
  return { value, end };
}

const before = (x: string, y: string): boolean => (x.codePointAt(0) ?? 0) < (y.codePointAt(0) ?? 0);
const isDigit = (character: string): boolean => /^\p{Nd}$/u.test(character);
const isLetter = (character: string): boolean => /^\p{L}$/u.test(character);
