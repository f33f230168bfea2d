import { spawn } from "node:child_process";
import { AcceptError } from "./acceptError.ts";

/** A `pulumi` command that has ended. Its output may hold secrets: it is never shown or written as a whole. */
export interface Finished {
  /** Undefined where a signal ended it. */
  code: number | undefined;
  stdout: string;
  stderr: string;
  seconds: number;
}

/** Runs `pulumi` with these arguments on one stack, as a person would. */
export type Pulumi = (...args: string[]) => Promise<Finished>;

/** @throws AcceptError (from the function returned) where there is no `pulumi`. */
export function pulumiForStack(stack: string, folder: string, env: NodeJS.ProcessEnv = process.env): Pulumi {
  return (...args) =>
    new Promise((resolve, reject) => {
      const started = performance.now();
      const child = spawn("pulumi", [...args, "--stack", stack, "--non-interactive", "--color", "never"], {
        cwd: folder,
        env: { ...env, PULUMI_SKIP_UPDATE_CHECK: "true" },
        stdio: ["ignore", "pipe", "pipe"],
      });
      const [out, err]: [Buffer[], Buffer[]] = [[], []];
      child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
      child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
      child.once("error", (error) =>
        reject(
          new AcceptError(`pulumi could not be started (${error.message})`, "Check that it is on PATH."),
        ),
      );
      child.once("close", (code) =>
        resolve({
          code: code ?? undefined,
          stdout: Buffer.concat(out).toString("utf8"),
          stderr: Buffer.concat(err).toString("utf8"),
          seconds: Math.round((performance.now() - started) / 100) / 10,
        }),
      );
    });
}

/** The engine's own words about a failure: its errors, or its last lines where it names none. */
export function summarizeFailure({ stdout, stderr }: Finished): string {
  const text = `${stdout}\n${stderr}`;
  const errors = [...text.matchAll(/^\s*error: (.*(?:\n(?!\s*(?:error|warning|info): )(?!\s*$).*)*)/gm)].map(
    ([, words]) => (words ?? "").trim(),
  );
  if (errors.length > 0) return [...new Set(errors)].join("\n");
  return text.trim().split("\n").slice(-10).join("\n");
}
