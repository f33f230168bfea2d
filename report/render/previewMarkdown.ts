import type { TextDiff } from "../model/lineDiff.ts";
import type { ConfigurationGroup, MessageGroup, PreviewReport } from "../model/preview.ts";
import type { PropertyChange } from "../model/propertyDiff.ts";
import type { ResourceChange } from "../model/resources.ts";
import { count } from "../model/verdict.ts";
import { block, code, details, fitted, plain, table } from "./markdown.ts";
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
import { lastTime, moment } from "./words.ts";

/** What a comment may have at GitHub, and so at most pages that cut one; a little is left for what a pipeline puts around it. */
const markdownLimit = 62_000;

const signs = { failed: "🛑", danger: "🛑", careful: "⚠️", calm: "✅", nothing: "✅" } as const;

/** A preview as a comment: what matters most first, whole parts left out at the end where it would be too long. */
export function previewMarkdown(report: PreviewReport, limit: number = markdownLimit): string {
  const { verdict, project, stack, counts } = report;
  const head = [
    `## ${signs[verdict.level]} ${plain(verdict.text)}`,
    `Preview of ${code(`${project}/${stack}`)}, ${moment(report.made)}, compared with ${report.refreshed ? "the live cluster" : "the stack's state"}: ` +
      `${counts.create} to create, ${counts.update} to update, ${counts.replace} to replace, ${counts.delete} to delete, ${counts.same} unchanged.`,
    ...(report.approval === undefined ? [] : [`Plan ${code(report.approval.digest)}.`]),
  ].join("\n\n");
  const parts = [
    head,
    messages("Errors", report.errors),
    losses(report),
    order(report),
    messages("Warnings and advisories", report.warnings),
    ...report.configurations.map((group, index) => configuration(group, index === 0)),
    ...resources(report),
  ];
  return fitted(
    parts,
    limit,
    (left) => `*${count(left, "part")} left out, since a comment may not be longer: the HTML page has all.*`,
  );
}

function messages(title: string, groups: MessageGroup[]): string {
  if (groups.length === 0) return "";
  const items = groups.map(({ text, resources: of }) => {
    const lines = text.split("\n").map((line) => plain(line.trim()));
    return `- ${lines.join("<br>")}${of.length === 0 ? "" : ` (${of.map(code).join(", ")})`}`;
  });
  return `### ${title}\n\n${items.join("\n")}`;
}

function losses({ losses: found }: PreviewReport): string {
  if (found.length === 0) return "";
  const rows = found.map(({ what, operation, meaning, protected: kept }) => [
    `**${lossText[operation]}**`,
    code(what),
    `${plain(meaning)}${kept ? " It is protected: the engine refuses." : ""}`,
  ]);
  return `### 🛑 Storage at stake\n\n${table(["", "What", "What it means"], rows)}`;
}

function order({ nodes, lastTook }: PreviewReport): string {
  const stages = stagesOf(nodes);
  const rows = stages.flatMap(({ lanes }) =>
    lanes.flatMap((lane, index) =>
      lane.map((node) => [
        code(node.name),
        node.role === "worker" && lanes.length > 1
          ? `worker, lane ${index + 1}`
          : node.role === "worker"
            ? "worker"
            : "control plane",
        plain(actionText(node)),
        node.reboot === "yes" ? `**${rebootText(node)}**` : rebootText(node),
        node.last === undefined ? "" : plain(lastTime(node.last)),
      ]),
    ),
  );
  const leaving = nodes.filter(({ action }) => action === "leave" || action === "reset");
  if (rows.length === 0 && leaving.length === 0) return "";
  const still = nodes.filter(({ action }) => action === "none").map(({ name }) => code(name));
  const unfinished = nodes.flatMap((node) =>
    node.unfinished.map((reason) => `- Not finished: ${plain(reason)}`),
  );
  return [
    "### Nodes, in the order it will happen",
    rows.length === 0 ? "" : table(["Node", "Role", "What", "Reboot", "Last time"], rows),
    unfinished.join("\n"),
    ...leaving.map((node) => `${code(node.name)} ${plain(actionText(node))}.`),
    lastTook === undefined
      ? ""
      : `In all ${estimateText(lastTook)}. The first failure stops all that come after it.`,
    still.length === 0 ? "" : `Not touched: ${still.join(", ")}.`,
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function configuration({ nodes, configuration: plan }: ConfigurationGroup, isFirst: boolean): string {
  const of = nodes.map(({ name }) => name).join(", ");
  const size = plan.kind === "changed" ? ` (${plan.diff.added} added, ${plan.diff.removed} removed)` : "";
  const body = [plain(configurationText(plan, nodes)), ...configurationBody(plan)].join("\n\n");
  return `${isFirst ? "### Machine configurations\n\n" : ""}${details(`${of}${size}`, body)}`;
}

function configurationBody(plan: ConfigurationGroup["configuration"]): string[] {
  if (plan.kind !== "changed" && plan.kind !== "first") return [];
  const onNode =
    plan.onNode === undefined
      ? ""
      : block(
          onNodeLines(plan.onNode)
            .map(({ text }) => text)
            .join("\n"),
          "diff",
        );
  if (plan.kind === "changed")
    return [
      diff(plan.diff),
      ...(onNode === "" ? [] : [`Asked, the nodes say that this changes there:\n\n${onNode}`]),
    ];
  return [onNode === "" ? block(plan.text, "yaml") : onNode];
}

function resources({ resources: changes }: PreviewReport): string[] {
  if (changes.length === 0) return [];
  const rows = changes.map(({ operation, kind, name, group }) => [
    `${operationSign[operation]} ${operation === "delete" || operation === "replace" ? `**${operationText[operation]}**` : operationText[operation]}`,
    code(kind),
    code(name),
    plain(group),
  ]);
  const list = `### Everything else\n\n${table(["", "Kind", "Name", "Part"], rows)}`;
  return [list, ...changes.flatMap(resource)];
}

function resource({ operation, kind, name, changes, body, replaceKeys }: ResourceChange): string[] {
  const inner = [
    operation === "replace" && replaceKeys.length > 0
      ? `Cannot be changed in place: ${replaceKeys.map(code).join(", ")}`
      : "",
    changes.length === 0 ? "" : changes.map(property).join("\n\n"),
    body === undefined ? "" : block(body, "yaml"),
  ].filter((part) => part !== "");
  if (inner.length === 0) return [];
  return [details(`${operationText[operation]} ${kind} ${name}`, inner.join("\n\n"))];
}

function property({ path, before, after, diff: lines }: PropertyChange): string {
  if (lines !== undefined) return `${code(path)}\n\n${diff(lines)}`;
  const changed = [
    ...(before === undefined ? [] : [`- ${before}`]),
    ...(after === undefined ? [] : [`+ ${after}`]),
  ];
  return `${code(path)}\n\n${block(changed.join("\n"), "diff")}`;
}

function diff({ hunks }: TextDiff): string {
  const lines = hunks.flatMap(({ line, lines: own }) => [
    `@@ line ${line} @@`,
    ...own.map(({ kind, text }) => `${kind === "added" ? "+" : kind === "removed" ? "-" : " "} ${text}`),
  ]);
  return block(lines.join("\n"), "diff");
}
