import { styleText } from "node:util";
import { DigestError } from "./digest/digest.ts";
import { ignoreClosedOutput } from "../tools/ignoreClosedOutput.ts";
import { ReportError } from "./reportError.ts";

/** What both commands have in common. */

/** Runs a command and gives the exit code: 1 with a message for a user's mistake; anything else keeps its stack trace. */
export async function runCommand(command: () => Promise<number>): Promise<number> {
  try {
    return await command();
  } catch (error) {
    const known = error instanceof ReportError || error instanceof DigestError;
    const text =
      known || !(error instanceof Error)
        ? String(known ? error.message : error)
        : (error.stack ?? error.message);
    process.stderr.write(`error: ${text}\n`);
    return 1;
  }
}

// Who reads only the beginning (`| head`) closes the pipe; the files are written all the same.
ignoreClosedOutput();

export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function bold(text: string): string {
  return styleText("bold", text, { stream: process.stdout });
}
