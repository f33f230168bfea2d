/**
 * The text of a file in UTF-8 or, with its byte order mark, in UTF-16: PowerShell's `>` writes that up to version 5.1. The mark is no part of the text, and
 * JSON refuses it.
 */
export function decodeText(bytes: Uint8Array): string {
  const [first, second] = bytes;
  const encoding =
    first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
  return new TextDecoder(encoding).decode(bytes);
}
