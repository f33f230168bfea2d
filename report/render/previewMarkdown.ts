import type { TextDiff } from "../model/lineDiff.ts";
import type { ConfigurationGroup, MessageGroup, PreviewReport } from "../model/preview.ts";
import type { PropertyChange } from "../model/propertyDiff.ts";
import type { ResourceChange } from "../model/resources.ts";
import { formatCount } from "../model/verdict.ts";
import { codeBlock, inlineCode, collapsible, fitParts, escapeMarkdown, markdownTable } from "./markdown.ts";
import {
  actionText,
  configurationText,
  estimateText,
  operationSign,
  lossText,
  onNodeLines,
  operationText,
  rebootText,
  stagesOf,
} from "./texts.ts";
import { describeLastUpgrade, formatMoment } from "./format.ts";

/** What a comment may have at GitHub, and so at most pages that cut one; a little is left for what a pipeline puts around it. */
const markdownLimit = 62_000;

const signs = { failed: "🛑", danger: "🛑", careful: "⚠️", calm: "✅", nothing: "✅" } as const;

/** A preview as a comment: what matters most first, whole parts left out at the end where it would be too long. */
export function previewMarkdown(report: PreviewReport, limit: number = markdownLimit): string {
  const { verdict, project, stack, counts } = report;
  const head = [
    `## ${signs[verdict.level]} ${escapeMarkdown(verdict.text)}`,
    `Preview of ${inlineCode(`${project}/${stack}`)}, ${formatMoment(report.made)}, compared with ${report.refreshed ? "the live cluster" : "the stack's state"}: ` +
      `${counts.create} to create, ${counts.update} to update, ${counts.replace} to replace, ${counts.delete} to delete, ${counts.same} unchanged.`,
    ...report.approvals.map(
      ({ cluster, digest }) =>
        `Plan ${cluster === "" ? "" : `of ${escapeMarkdown(cluster)} `}${inlineCode(digest)}.`,
    ),
  ].join("\n\n");
  const parts = [
    head,
    renderMessages("Errors", report.errors),
    renderLosses(report),
    renderOrder(report),
    renderMessages("Warnings and advisories", report.warnings),
    ...report.configurations.map((group, index) => renderConfiguration(group, index === 0)),
    ...renderResources(report),
  ];
  return fitParts(
    parts,
    limit,
    (left) =>
      `*${formatCount(left, "part")} left out because of the comment size limit: the HTML page has everything.*`,
  );
}

function renderMessages(title: string, groups: MessageGroup[]): string {
  if (groups.length === 0) return "";
  const items = groups.map(({ text, resources: of }) => {
    const lines = text.split("\n").map((line) => escapeMarkdown(line.trim()));
    return `- ${lines.join("<br>")}${of.length === 0 ? "" : ` (${of.map(inlineCode).join(", ")})`}`;
  });
  return `### ${title}\n\n${items.join("\n")}`;
}

function renderLosses({ losses: found }: PreviewReport): string {
  if (found.length === 0) return "";
  const rows = found.map(({ what, operation, meaning, protected: kept }) => [
    `**${lossText[operation]}**`,
    inlineCode(what),
    `${escapeMarkdown(meaning)}${kept ? " It is protected: the engine refuses." : ""}`,
  ]);
  return `### 🛑 Storage at risk\n\n${markdownTable(["", "What", "What it means"], rows)}`;
}

function renderOrder({ nodes, lastTook }: PreviewReport): string {
  const stages = stagesOf(nodes);
  const rows = stages.flatMap(({ lanes }) =>
    lanes.flatMap((lane, index) =>
      lane.map((node) => [
        inlineCode(node.name),
        `${node.group.replace(/s\b/, "")}${lanes.length > 1 ? `, lane ${index + 1}` : ""}`,
        escapeMarkdown(actionText(node)),
        node.reboot === "yes" ? `**${rebootText(node)}**` : rebootText(node),
        node.last === undefined ? "" : escapeMarkdown(describeLastUpgrade(node.last)),
      ]),
    ),
  );
  const leaving = nodes.filter(({ action }) => action === "leave" || action === "reset");
  if (rows.length === 0 && leaving.length === 0) return "";
  const still = nodes.filter(({ action }) => action === "none").map(({ name }) => inlineCode(name));
  const unfinished = nodes.flatMap((node) =>
    node.unfinished.map((reason) => `- Not finished: ${escapeMarkdown(reason)}`),
  );
  return [
    "### Nodes, in order",
    rows.length === 0 ? "" : markdownTable(["Node", "Role", "What", "Reboot", "Last time"], rows),
    unfinished.join("\n"),
    ...leaving.map((node) => `${inlineCode(node.name)} ${escapeMarkdown(actionText(node))}.`),
    lastTook === undefined
      ? ""
      : `In total ${estimateText(lastTook)}. The first failure stops all later nodes.`,
    still.length === 0 ? "" : `Not touched: ${still.join(", ")}.`,
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function renderConfiguration({ nodes, configuration: plan }: ConfigurationGroup, isFirst: boolean): string {
  const of = nodes.map(({ name }) => name).join(", ");
  const size = plan.kind === "changed" ? ` (${plan.diff.added} added, ${plan.diff.removed} removed)` : "";
  const body = [escapeMarkdown(configurationText(plan, nodes)), ...renderConfigurationBody(plan)].join(
    "\n\n",
  );
  return `${isFirst ? "### Machine configurations\n\n" : ""}${collapsible(`${of}${size}`, body)}`;
}

function renderConfigurationBody(plan: ConfigurationGroup["configuration"]): string[] {
  if (plan.kind !== "changed" && plan.kind !== "first") return [];
  const onNode =
    plan.onNode === undefined
      ? ""
      : codeBlock(
          onNodeLines(plan.onNode)
            .map(({ text }) => text)
            .join("\n"),
          "diff",
        );
  if (plan.kind === "changed")
    return [
      renderDiff(plan.diff),
      ...(onNode === "" ? [] : [`What this changes on the nodes:\n\n${onNode}`]),
    ];
  return [onNode === "" ? codeBlock(plan.text, "yaml") : onNode];
}

function renderResources({ resources: changes }: PreviewReport): string[] {
  if (changes.length === 0) return [];
  const rows = changes.map(({ operation, kind, name, group }) => [
    `${operationSign[operation]} ${operation === "delete" || operation === "replace" ? `**${operationText[operation]}**` : operationText[operation]}`,
    inlineCode(kind),
    inlineCode(name),
    escapeMarkdown(group),
  ]);
  const list = `### Everything else\n\n${markdownTable(["", "Kind", "Name", "Part"], rows)}`;
  return [list, ...changes.flatMap(renderResource)];
}

function renderResource({ operation, kind, name, changes, body, replaceKeys }: ResourceChange): string[] {
  const inner = [
    operation === "replace" && replaceKeys.length > 0
      ? `Cannot be changed in place: ${replaceKeys.map(inlineCode).join(", ")}`
      : "",
    changes.length === 0 ? "" : changes.map(renderProperty).join("\n\n"),
    body === undefined ? "" : codeBlock(body, "yaml"),
  ].filter((part) => part !== "");
  if (inner.length === 0) return [];
  return [collapsible(`${operationText[operation]} ${kind} ${name}`, inner.join("\n\n"))];
}

function renderProperty({ path, before, after, diff: lines }: PropertyChange): string {
  if (lines !== undefined) return `${inlineCode(path)}\n\n${renderDiff(lines)}`;
  const changed = [
    ...(before === undefined ? [] : [`- ${before}`]),
    ...(after === undefined ? [] : [`+ ${after}`]),
  ];
  return `${inlineCode(path)}\n\n${codeBlock(changed.join("\n"), "diff")}`;
}

function renderDiff({ hunks }: TextDiff): string {
  const lines = hunks.flatMap(({ line, lines: own }) => [
    `@@ line ${line} @@`,
    ...own.map(({ kind, text }) => `${kind === "added" ? "+" : kind === "removed" ? "-" : " "} ${text}`),
  ]);
  return codeBlock(lines.join("\n"), "diff");
}
