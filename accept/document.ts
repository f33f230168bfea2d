import { code, plain, table } from "../report/render/markdown.ts";
import { probeSteps } from "../provider/storage/probe/report.ts";
import type { Acceptance, StepResult } from "./acceptance.ts";

const marks: Record<StepResult["result"], string> = { passed: "✅", failed: "❌", skipped: "➖" };

/** The acceptance run as Markdown: the verdict, every step, what is wrong, every node, every volume. */
export function acceptanceMarkdown(run: Acceptance): string {
  const verdict = run.result === "passed" ? "accepted" : "not accepted";
  const parts = [
    `# Stack ${plain(run.stack)} is ${verdict}`,
    `${run.started}, ${run.deployed ? "deployed and checked" : "checked only, nothing was changed"}.`,
    table(
      ["", "Step", "", "Seconds"],
      run.steps.map(({ step, result, told, seconds }) => [
        marks[result],
        plain(step),
        plain(told),
        seconds === undefined ? "" : String(seconds),
      ]),
    ),
    ...run.steps.flatMap(({ step, problems }) =>
      problems.length === 0
        ? []
        : [`## ${plain(step)}`, problems.map((problem) => `- ${plain(problem)}`).join("\n")],
    ),
    ...(run.nodes.length === 0
      ? []
      : [
          "## Nodes as they are",
          table(
            ["Node", "Address", "Talos", "Schematic", ""],
            run.nodes.map(({ name, address, version, schematicId, problems }) => [
              plain(name),
              code(address),
              plain(version ?? "not read"),
              schematicId === undefined ? "none" : code(`${schematicId.slice(0, 12)}…`),
              problems.length === 0 ? marks.passed : marks.failed,
            ]),
          ),
        ]),
    ...(run.storage === undefined || run.storage.volumes.length === 0
      ? []
      : [
          "## Volumes",
          "Seconds by step.",
          table(
            ["StorageClass", "Node", "", ...probeSteps, "Read on"],
            run.storage.volumes.map(({ storageClass, node, result, seconds, readOn }) => [
              plain(storageClass),
              plain(node),
              marks[result],
              ...probeSteps.map((step) => seconds[step]?.toFixed(1) ?? ""),
              plain(readOn ?? ""),
            ]),
          ),
          ...run.storage.skipped.map(({ storageClass, node, why }) =>
            plain(`${storageClass} was not probed on ${node}: ${why}.`),
          ),
        ]),
  ];
  return `${parts.join("\n\n")}\n`;
}
