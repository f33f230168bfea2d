import { spawn } from "node:child_process";
import { join } from "node:path";
import { goEnvironment } from "./goRun.ts";

/**
 * Runs one of the small Go programs under tools/ once. Each question is a line of JSON on stdin, each answer a line
 * on stdout, in the same order. The first run on a machine downloads and compiles its modules.
 */
export async function askGo<Answer>(program: string, questions: readonly unknown[]): Promise<Answer[]> {
  const child = spawn("go", ["run", "-mod=readonly", "."], {
    cwd: join(import.meta.dirname, program),
    env: goEnvironment(process.env),
    stdio: ["pipe", "pipe", "pipe"],
  });
  const [output, complaints]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on("data", (chunk: Buffer) => output.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => complaints.push(chunk));
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "ENOENT"
          ? new Error(`This test needs Go (see CONTRIBUTING.md): tools/${program}.`)
          : error,
      ),
    );
    child.once("close", resolve);
  });
  child.stdin.on("error", () => undefined); // a program that exits early reports why on stderr
  child.stdin.end(questions.map((question) => `${JSON.stringify(question)}\n`).join(""));
  const code = await ended;
  if (code !== 0) throw new Error(`tools/${program} failed:\n${Buffer.concat(complaints).toString("utf8")}`);
  const lines = Buffer.concat(output).toString("utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as Answer);
}
