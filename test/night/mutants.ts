import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The program with one of its checks removed. */
export interface Mutant {
  /** The removed check. */
  look: string;
  file: string;
  /** Text that occurs once in the file, and its replacement. */
  from: string;
  to: string;
  /** The test file, and a part of the names of the tests, that catch the mutant. */
  test: [file: string, name: string];
}

/** Every check of the gate and of the steps that call it. */
export const mutants = JSON.parse(
  readFileSync(join(import.meta.dirname, "mutants.json"), "utf8"),
) as Mutant[];

/** The source without the check. */
export function mutate(code: string, { file, from, to }: Omit<Mutant, "look" | "test">): string {
  const parts = code.split(from);
  if (parts.length !== 2) throw new Error(`${file} has this ${parts.length - 1} times, not once: ${from}`);
  return parts.join(to);
}
