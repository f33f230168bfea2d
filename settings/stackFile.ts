import { parse } from "yaml";
import type { ReadFile } from "./files.ts";
import { isRecord } from "../talos/values.ts";

/**
 * The settings as written in a stack's file, encrypted ones as `{ secure: … }`. The engine decrypts them without saying which were encrypted.
 * Undefined where the file is elsewhere (`--config-file`, `stackConfigDir`) or cannot be read; then nothing counts as plain text.
 */
export function readStackFile(
  project: string,
  stack: string,
  readFile: ReadFile,
): Record<string, unknown> | undefined {
  const name = `Pulumi.${stack.replaceAll("/", "-")}`;
  for (const ending of ["yaml", "yml"]) {
    const text = parseOrUndefined(() => readFile(`${name}.${ending}`));
    // The engine merges anchors (`<<: *defaults`), too.
    const content: unknown =
      text === undefined ? undefined : parseOrUndefined(() => parse(text, { merge: true }) as unknown);
    const config = isRecord(content) ? content["config"] : undefined;
    if (!isRecord(config)) continue;
    return Object.fromEntries(
      Object.entries(config).map(([key, value]) => [
        key.replace(`${project}:`, "").replace(/^config:/, ""),
        parseStructured(value),
      ]),
    );
  }
  return undefined;
}

/** A structured value may be stored in the file as JSON text. */
function parseStructured(value: unknown): unknown {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return value;
  return parseOrUndefined(() => JSON.parse(value) as unknown) ?? value;
}

function parseOrUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
