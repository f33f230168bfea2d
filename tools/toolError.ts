import type { Tool, ToolName } from "./catalogue.ts";
import { fittingRange, type Pin } from "./pins.ts";
import type { BuildFailure, BuildJob } from "./goBuild.ts";
import type { RejectedProgram } from "./onPath.ts";

/** Tools that could not be found or built. The message tells the user what is missing, why, and what to do about it. */
export class ToolError extends Error {
  /** The tools that are missing. */
  readonly missing: readonly ToolName[];

  constructor(message: string, missing: readonly ToolName[]) {
    super(message);
    this.name = "ToolError";
    this.missing = missing;
  }
}

/** A tool that is neither on PATH in a suitable version nor already built. */
export interface MissingTool {
  readonly tool: Tool;
  readonly pin: Pin;
  readonly refused: readonly RejectedProgram[];
}

/** One error for all missing tools if no Go can build them. */
export function cannotBuild(missing: readonly MissingTool[], problem: string, neededGo: string): ToolError {
  const width = Math.max(...missing.map(({ tool }) => tool.name.length));
  const lines = missing.flatMap(({ tool, pin, refused }) => [
    `  ${tool.name.padEnd(width)}  ${fittingRange(tool, pin)}`,
    ...refused.map(({ path, reason }) => `  ${" ".repeat(width)}    passed over: ${path} ${reason}`),
  ]);
  const text = [
    `${missing.length === 1 ? "A tool is" : `${missing.length} tools are`} missing and cannot be built: ${problem}`,
    `Install Go ${neededGo} or newer (https://go.dev/dl/) to build them here,`,
    "or put these on PATH, in a version within the given range:",
    ...lines,
  ];
  return new ToolError(text.join("\n"), names(missing));
}

/** The error for failed builds. */
export function buildsFailed(failures: readonly BuildFailure[]): ToolError {
  const text = failures.map((failure) => {
    const { job, command, lastLines, log } = failure;
    return [
      `Building ${job.tools.map(({ name }) => name).join(", ")} ${job.pin.version} failed: ${failure.message}`,
      `  in:  ${failure.folder}`,
      `  ran: ${command}`,
      ...(lastLines.length === 0 ? [] : ["  last output:", ...lastLines.map((line) => `    ${line}`)]),
      `  all of its output: ${log}`,
    ].join("\n");
  });
  return new ToolError(
    text.join("\n\n"),
    failures.flatMap(({ job }) => job.tools.map(({ name }) => name)),
  );
}

/** The error for a folder that is read-only or full; undefined for any other error. */
export function cannotWrite(error: unknown, folder: string, job: BuildJob): ToolError | undefined {
  const codes = ["EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT"];
  if (!(error instanceof Error && "code" in error && codes.includes(String(error.code)))) {
    return undefined;
  }
  const text =
    `${folder} cannot be written: ${error.message}\n` +
    "Tools are built there. All of them take about 700 MB, and Go's own cache takes several GB more.";
  return new ToolError(
    text,
    job.tools.map(({ name }) => name),
  );
}

const names = (missing: readonly MissingTool[]): ToolName[] => missing.map(({ tool }) => tool.name);
