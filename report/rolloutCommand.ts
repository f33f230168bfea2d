import { printLine } from "./command.ts";
import { engineState } from "./engine.ts";
import { fileName, readSaved, writeReport } from "./files.ts";
import { rolloutReport, StateError, type RolloutReport } from "./model/rollout.ts";
import { rolloutHtml } from "./render/rolloutHtml.ts";
import { rolloutText } from "./render/rolloutTable.ts";
import { ReportError } from "./reportError.ts";

/** As on the command line. */
export interface RolloutOptions {
  stack?: string;
  from?: string;
  out: string;
}

/** Makes the report and gives the exit code. */
export async function runRolloutReport({ stack, from, out }: RolloutOptions): Promise<number> {
  const report = createReport(await loadState(stack, from), from ?? `the state of ${stack ?? ""}`);
  printLine(rolloutText(report));
  const [path] = writeReport(out, {
    [fileName("rollout", report.stack === "" ? (stack ?? "") : report.stack, "html")]: rolloutHtml(report),
  });
  printLine(`\n  ${path ?? ""}`);
  return report.result === "failed" ? 2 : 0;
}

async function loadState(stack: string | undefined, from: string | undefined): Promise<unknown> {
  if (from === undefined) {
    if (stack === undefined)
      throw new ReportError(
        "no stack is given: specify --stack <name>, or --from <file> for a saved `pulumi stack export`",
      );
    return engineState(stack);
  }
  try {
    return JSON.parse(readSaved(from)) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new ReportError(`${from} is not JSON; it must be the output of \`pulumi stack export\``);
    throw error;
  }
}

function createReport(state: unknown, where: string): RolloutReport {
  try {
    return rolloutReport(state, Date.now());
  } catch (error) {
    if (error instanceof StateError) throw new ReportError(`${where}: ${error.message}`);
    throw error;
  }
}
