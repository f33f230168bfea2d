import { appendFileSync, chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { decodeText } from "../talos/decodeText.ts";
import { ReportError } from "./reportError.ts";

/** A file that somebody saved; `-` is what is piped in. */
export function readSaved(path: string): string {
  try {
    return decodeText(readFileSync(path === "-" ? 0 : path));
  } catch (error) {
    throw new ReportError(
      `${path === "-" ? "the standard input" : path} cannot be read: ${errorReason(error)}`,
    );
  }
}

/**
 * Writes the files of a report, readable for their owner alone: no secret is in them, but the plan of a cluster is.
 * @returns the paths.
 */
export function writeReport(folder: string, files: Record<string, string>): string[] {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return Object.entries(files).map(([name, text]) => {
      const path = resolve(join(folder, name));
      writeFileSync(path, text, { mode: 0o600 });
      chmodSync(path, 0o600); // one that was there keeps its mode otherwise
      return path;
    });
  } catch (error) {
    throw new ReportError(`the report cannot be written to ${folder}: ${errorReason(error)}`);
  }
}

/** Adds lines to a file that a pipeline reads. */
export function addLines(path: string, lines: readonly string[]): void {
  try {
    appendFileSync(path, lines.map((line) => `${line}\n`).join(""), { mode: 0o600 });
  } catch (error) {
    throw new ReportError(`${path} cannot be written: ${errorReason(error)}`);
  }
}

/** The stack in the name of a file: `organization/project/prod` is `prod`. */
export function fileName(kind: string, stack: string, ending: string): string {
  const own =
    stack
      .split("/")
      .at(-1)
      ?.replace(/[^\w.-]+/g, "-") ?? "";
  return `${kind}-${own === "" ? "stack" : own}.${ending}`;
}

function errorReason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
