import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import semver from "semver";
import type { Tool } from "./catalogue.ts";

/** A program on PATH that was passed over, and why. */
export interface RejectedProgram {
  readonly path: string;
  readonly reason: string;
}

export interface PathSearch {
  readonly found?: { readonly path: string; readonly version: string };
  readonly refused: readonly RejectedProgram[];
}

export type VersionAnswer = { readonly version: string } | { readonly reason: string };

/**
 * A launcher that first downloads the real program (npm's `pulumi` does) must not stall the search. The slowest
 * real program, a cold kube-apiserver, answers in about a second.
 */
const answerTimeout = 20_000;

/** Searches PATH in order for a tool whose version is within the range. */
export async function searchPath(tool: Tool, range: string, env: NodeJS.ProcessEnv): Promise<PathSearch> {
  const refused: RejectedProgram[] = [];
  for (const path of await candidates(tool.name, env)) {
    const answer = await askVersion(tool, path, env);
    if ("reason" in answer) {
      refused.push({ path, reason: answer.reason });
    } else if (!semver.satisfies(answer.version, range)) {
      refused.push({ path, reason: `is ${answer.version}, not ${range}` });
    } else {
      return { found: { path, version: answer.version }, refused };
    }
  }
  return { refused };
}

/** Asks a binary for its version. */
export async function askVersion(tool: Tool, path: string, env: NodeJS.ProcessEnv): Promise<VersionAnswer> {
  const quiet = { ...env, PULUMI_SKIP_UPDATE_CHECK: "true" };
  const { failure, stdout } = await new Promise<{ failure?: Error; stdout: string }>((resolve) => {
    execFile(
      path,
      [...tool.versionArguments],
      { env: quiet, timeout: answerTimeout, killSignal: "SIGKILL" },
      (error, output) => resolve({ ...(error === null ? {} : { failure: error }), stdout: output }),
    );
  });
  const command = `${tool.name} ${tool.versionArguments.join(" ")}`;
  const version = tool.versionPattern.exec(stdout)?.[1];
  if (version !== undefined && semver.valid(version) !== null) {
    return { version: version.startsWith("v") ? version : `v${version}` };
  }
  if (failure !== undefined) {
    const killed = "killed" in failure && failure.killed === true;
    return { reason: killed ? `\`${command}\` gave no answer` : `\`${command}\` failed` };
  }
  return { reason: `\`${command}\` does not print a version` };
}

async function candidates(name: string, env: NodeJS.ProcessEnv): Promise<string[]> {
  const file = process.platform === "win32" ? `${name}.exe` : name;
  // Skip relative entries (an empty one means "here"): they would make the result depend on the working directory.
  const folders = (env["PATH"] ?? env["Path"] ?? "").split(delimiter).filter((folder) => isAbsolute(folder));
  const paths = [...new Set(folders.map((folder) => join(folder, file)))];
  const executable = await Promise.all(paths.map(isExecutable));
  return paths.filter((_, index) => executable[index]);
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
