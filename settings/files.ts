import type { Problem } from "../components/csi/problems.ts";
import { describeGiven } from "./messages.ts";

/** Returns the text of a file that the settings name, or throws. */
export type ReadFile = (path: string) => string;

/** A file's text, and where in the settings it comes from. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

/**
 * The text set under a key, or in the file set under the key plus `File`. Undefined where neither is set, and where the file cannot be read, which is
 * added to the problems.
 */
export function readSource(
  section: Readonly<Record<string, unknown>>,
  key: string,
  base: string,
  readFile: ReadFile,
  problems: Problem[],
): Source | undefined {
  const fileKey = `${key}File`;
  const [text, file] = [section[key], section[fileKey]];
  const path = `${base}.${fileKey}`;
  if (text !== undefined && file !== undefined) {
    problems.push({ path, reason: `conflicts with ${key}, which sets the same thing; set only one of them` });
    return undefined;
  }
  if (typeof text === "string") return { path: `${base}.${key}`, text };
  if (typeof file !== "string") return undefined;
  if (/[\r\n]/.test(file)) {
    const reason = `is not a path but ${describeGiven(file)}; if this is the file's content, set it under ${key}`;
    problems.push({ path, reason });
    return undefined;
  }
  try {
    return { path, text: readFile(file) };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why =
      code === "ENOENT"
        ? "there is no such file"
        : code === "EACCES"
          ? "this user has no permission to read it"
          : `it cannot be read (${code ?? String(error)})`;
    const reason = `is ${describeGiven(file)}, but ${why}; paths are relative to the project's folder`;
    problems.push({ path, reason });
    return undefined;
  }
}

/** Does a section set a text or its file? */
export function givesSource(section: Readonly<Record<string, unknown>>, key: string): boolean {
  return section[key] !== undefined || section[`${key}File`] !== undefined;
}
