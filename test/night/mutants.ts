import { readFileSync } from "node:fs";
import { join } from "node:path";

/** A program without one of its looks. */
export interface Mutant {
  /** What is not looked at any more. */
  look: string;
  file: string;
  /** Text that the file has once, and what is there in its place. */
  from: string;
  to: string;
  /** The test file, and a part of the names of the tests, that catch it. */
  test: [file: string, name: string];
}

/** Every look of the gate and of the steps that call it. */
export const mutants = JSON.parse(
  readFileSync(join(import.meta.dirname, "mutants.json"), "utf8"),
) as Mutant[];

/** The file's text without the look. */
export function mutate(code: string, { file, from, to }: Omit<Mutant, "look" | "test">): string {
  const parts = code.split(from);
  if (parts.length !== 2) throw new Error(`${file} has this ${parts.length - 1} times, not once: ${from}`);
  return parts.join(to);
}
