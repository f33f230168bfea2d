import { spawn } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");

/**
 * Runs a command in this project's folder.
 * @param shown stream the output to the terminal. Default: collect it until the command ends
 */
export function runCommand(
  [program = "", ...args]: readonly string[],
  shown = false,
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, stdio: shown ? "inherit" : ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => (output += chunk.toString("utf8")));
    child.once("error", (error) => (output += `${error.message}\n`));
    child.once("close", (code) => resolve({ code, output }));
  });
}

/** Processes a list in order, `atOnce` items at a time. */
export async function forEachInParallel<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const waiting = items.values();
  const worker = async (): Promise<void> => {
    for (const item of waiting) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
