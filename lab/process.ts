import { spawn } from "node:child_process";

/** Runs a tool until it exits. Arguments are passed as is: no shell. */

export interface RunOptions {
  env?: NodeJS.ProcessEnv;
  /** Written to the tool's standard input. */
  input?: string;
  timeoutMs?: number;
}

export class ToolFailure extends Error {}

/** The tool's standard output; on failure, a ToolFailure with the end of its output. */
export function runTool(file: string, args: string[], options: RunOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      env: options.env ?? process.env,
      stdio: ["pipe", "pipe", "pipe"],
      ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    child.once("error", (error) => reject(new ToolFailure(`${file}: ${error.message}`)));
    child.once("close", (code, signal) => {
      if (code === 0) return resolve(Buffer.concat(out).toString("utf8"));
      const said = Buffer.concat([...err, ...out])
        .toString("utf8")
        .trim()
        .split("\n")
        .slice(-6)
        .join("\n  ");
      reject(
        new ToolFailure(
          `${file} ${args[0] ?? ""} ended with ${signal ?? `exit code ${code ?? "?"}`}:\n  ${said}`,
        ),
      );
    });
    child.stdin.on("error", () => undefined); // a tool that exits without reading its input reports the reason in its exit code
    child.stdin.end(options.input ?? "");
  });
}
