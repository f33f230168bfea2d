import { inlineCode, escapeMarkdown, markdownTable } from "../report/render/markdown.ts";
import { probeSteps } from "../provider/storage/probe/report.ts";
import type { Acceptance, StepResult } from "./acceptance.ts";

const marks: Record<StepResult["result"], string> = { passed: "✅", failed: "❌", skipped: "➖" };

/** The acceptance run as Markdown: the verdict, every step, what is wrong, every node, every volume. */
export function acceptanceMarkdown(run: Acceptance): string {
  const verdict = run.result === "passed" ? "accepted" : "not accepted";
  const parts = [
    `# Stack ${escapeMarkdown(run.stack)} is ${verdict}`,
    `${run.started}, ${run.deployed ? "deployed and checked" : "checked only, nothing was changed"}.`,
    markdownTable(
      ["", "Step", "", "Seconds"],
      run.steps.map(({ step, result, summary, seconds }) => [
        marks[result],
        escapeMarkdown(step),
        escapeMarkdown(summary),
        seconds === undefined ? "" : String(seconds),
      ]),
    ),
    ...run.steps.flatMap(({ step, problems }) =>
      problems.length === 0
        ? []
        : [
            `## ${escapeMarkdown(step)}`,
            problems.map((problem) => `- ${escapeMarkdown(problem)}`).join("\n"),
          ],
    ),
    ...(run.nodes.length === 0
      ? []
      : [
          "## Nodes",
          markdownTable(
            ["Node", "Address", "Talos", "Schematic", ""],
            run.nodes.map(({ name, address, version, schematicId, problems }) => [
              escapeMarkdown(name),
              inlineCode(address),
              escapeMarkdown(version ?? "not read"),
              schematicId === undefined ? "none" : inlineCode(`${schematicId.slice(0, 12)}…`),
              problems.length === 0 ? marks.passed : marks.failed,
            ]),
          ),
        ]),
    ...(run.storage === undefined || run.storage.volumes.length === 0
      ? []
      : [
          "## Volumes",
          "Seconds by step.",
          markdownTable(
            ["StorageClass", "Node", "", ...probeSteps, "Read on"],
            run.storage.volumes.map(({ storageClass, node, result, seconds, readOn }) => [
              escapeMarkdown(storageClass),
              escapeMarkdown(node),
              marks[result],
              ...probeSteps.map((step) => seconds[step]?.toFixed(1) ?? ""),
              escapeMarkdown(readOn ?? ""),
            ]),
          ),
          ...run.storage.skipped.map(({ storageClass, node, why }) =>
            escapeMarkdown(`${storageClass} was not probed on ${node}: ${why}.`),
          ),
        ]),
  ];
  return `${parts.join("\n\n")}\n`;
}
