import { printLine, bold } from "./command.ts";
import { DigestError, type Digest } from "./digest/digest.ts";
import { digestFromEvents, digestFromText } from "./digest/read.ts";
import { enginePreview } from "./engine.ts";
import { addLines, fileName, readSaved, writeReport } from "./files.ts";
import { hasChanges, previewReport } from "./model/preview.ts";
import { previewHtml } from "./render/previewHtml.ts";
import { previewJson, previewVariables } from "./render/previewJson.ts";
import { previewMarkdown } from "./render/previewMarkdown.ts";
import { hasCode } from "../talos/errorCodes.ts";
import { ReportError } from "./reportError.ts";
import { formatPlanFile } from "../talos/rolloutPlan.ts";

/** As on the command line. */
export interface PreviewOptions {
  stack?: string;
  from?: string;
  out: string;
  /** File of `KEY=value` lines, as GitHub's step outputs and GitLab's dotenv reports have them, that gets what the next job needs. */
  variables?: string;
  refresh: boolean;
  expectNoChanges: boolean;
  refuseStorageLoss: boolean;
}

/** Makes the report and gives the exit code. */
export async function runPreviewReport(options: PreviewOptions): Promise<number> {
  const digest = await loadDigest(options);
  const report = previewReport(digest, Date.now());
  const { approvals } = report;
  const paths = writeReport(options.out, {
    [fileName("preview", report.stack, "md")]: previewMarkdown(report),
    [fileName("preview", report.stack, "html")]: previewHtml(report),
    [fileName("preview", report.stack, "json")]: previewJson(report),
    ...Object.fromEntries(
      approvals.map(({ cluster, plan }) => [
        fileName(
          "plan",
          `${report.stack.split("/").at(-1) ?? ""}${cluster === "" ? "" : `-${cluster}`}`,
          "json",
        ),
        formatPlanFile(plan),
      ]),
    ),
  });
  printLine(bold(report.verdict.text));
  for (const { severity, resource, text } of digest.messages)
    if (severity === "error") printLine(`\n${resource === undefined ? "" : `${resource}: `}${text.trim()}`);
  for (const path of paths) printLine(`  ${path}`);
  for (const { cluster, digest } of approvals)
    printLine(`  plan ${cluster === "" ? "" : `of ${cluster} `}${digest}`);
  if (options.variables !== undefined) addLines(options.variables, previewVariables(report));
  if (digest.failed) return 2;
  if (options.expectNoChanges && (hasChanges(report) || !isCompared(digest))) return 3;
  return options.refuseStorageLoss && report.losses.length > 0 ? 4 : 0;
}

/** A refresh that could not read a node shows no change of it, and proves none. */
function isCompared({ refreshed, messages }: Digest): boolean {
  const unread = messages.filter(({ text }) => hasCode(text, "node-unreachable"));
  if (!refreshed || unread.length === 0) return true;
  printLine("\nNot every node could be compared with the stack's state:");
  for (const { resource, text } of unread) printLine(`  ${resource ?? "the stack"}: ${text}`);
  return false;
}

async function loadDigest({ stack, from, refresh, expectNoChanges }: PreviewOptions): Promise<Digest> {
  if (from !== undefined && refresh)
    throw new ReportError(
      "--refresh reads the live cluster and --from reads a saved preview: specify only one of them",
    );
  if (from !== undefined) {
    const digest = digestFromFile(from);
    return stack === undefined || digest.stack !== "" ? digest : { ...digest, stack };
  }
  if (stack === undefined)
    throw new ReportError("no stack is given: specify --stack <name>, or --from <file> for a saved preview");
  const { events, failure } = await enginePreview(stack, { refresh, plan: !expectNoChanges });
  const names = { project: "talos-iscsi", stack: stack.split("/").at(-1) ?? stack };
  const digest = digestFromEvents(events, names);
  if (failure === undefined) return digest;
  // An engine that could not even begin has told no event.
  if (!digest.messages.some(({ severity }) => severity === "error"))
    digest.messages.push({ severity: "error", text: failure });
  return { ...digest, failed: true };
}

function digestFromFile(path: string): Digest {
  const text = readSaved(path);
  try {
    return digestFromText(text);
  } catch (error) {
    if (error instanceof DigestError)
      throw new ReportError(`${path} is not a saved preview: ${error.message}`);
    throw error;
  }
}
