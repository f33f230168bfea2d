import Table from "cli-table3";
import { nodesOf, reasonsOf, type Rollout, type RolloutReport, type UpgradedNode } from "../model/rollout.ts";
import { formatCount } from "../model/verdict.ts";
import { phases, phaseSeconds, formatSeconds } from "./steps.ts";
import type { KubernetesTimeline } from "../model/kubernetes.ts";
import {
  formatClockTime,
  formatDuration,
  formatImage,
  describeKubernetesUpgrade,
  formatMoment,
  describeOutcome,
} from "./format.ts";

/** The last upgrades of a stack's nodes for a terminal: seconds by step, and what went wrong. */
export function rolloutText(report: RolloutReport): string {
  const { verdict, rollouts, never, kubernetes } = report;
  const reasons = nodesOf(report).flatMap(reasonsOf);
  return [
    verdict,
    ...rollouts.map(rolloutTable),
    ...(kubernetes === undefined ? [] : [kubernetesTable(kubernetes)]),
    ...(never.length === 0
      ? []
      : [`Never upgraded by this stack: ${never.map(({ name }) => name).join(", ")}`]),
    ...reasons,
  ]
    .map(stripControlCharacters)
    .join("\n\n");
}

/** One rollout, with a line above it that says which. */
export function rolloutTable({ nodes, started, ended, to }: Rollout): string {
  const table = new Table({
    // The result comes second: in a narrow terminal the end of a row is out of sight.
    head: ["node", "result", "from", "to", "started", "total", ...phases.map(({ label }) => label)],
    colAligns: [...Array<"left">(5).fill("left"), ...Array<"right">(phases.length + 1).fill("right")],
    style: { head: [], border: [], compact: true },
  });
  table.push(...nodes.map(tableRow));
  const images = to.map(({ version }) => version).join(", ");
  return `${formatMoment(started)}: ${images}, ${formatCount(nodes.length, "node")} in ${formatDuration((ended - started) / 1000)}; seconds by step\n${table.toString()}`;
}

/** The parts of an upgrade of Kubernetes, with a line above them that says which. */
function kubernetesTable(timeline: KubernetesTimeline): string {
  const { steps, started, reason } = timeline;
  const table = new Table({
    head: ["part", "started", "took"],
    colAligns: ["left", "left", "right"],
    style: { head: [], border: [], compact: true },
  });
  table.push(
    ...steps.map((step) => [step.name, formatClockTime(step.started), formatDuration(step.seconds)]),
  );
  const title = `${formatMoment(started)}: ${describeKubernetesUpgrade(timeline)}`;
  return [title, table.toString(), ...(reason === undefined ? [] : [reason])].join("\n");
}

function tableRow({ name, timeline }: UpgradedNode): string[] {
  const { from, to, started, seconds: total, steps } = timeline;
  const each = phaseSeconds(steps);
  return [
    name,
    describeOutcome(timeline),
    formatImage(from, to),
    formatImage(to, from),
    formatClockTime(started),
    formatDuration(total),
    ...phases.map(({ id }) => formatSeconds(each.get(id))),
  ];
}

/** What a node says must not move a terminal's cursor. */
function stripControlCharacters(text: string): string {
  // eslint-disable-next-line no-control-regex -- these are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "�");
}
