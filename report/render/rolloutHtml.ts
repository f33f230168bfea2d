import { nodesOf, reasonsOf, type Rollout, type RolloutReport, type UpgradedNode } from "../model/rollout.ts";
import { formatCount } from "../model/verdict.ts";
import { gantt, ganttLegend, ganttPatterns } from "./gantt.ts";
import { h, prose, type Html } from "./html.ts";
import { page } from "./page.ts";
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

const looks = {
  done: { level: "nothing", label: "Rollout done" },
  failed: { level: "failed", label: "Rollout stopped" },
  none: { level: "calm", label: "No rollout" },
} as const;

/** The last upgrades of a stack's nodes as one page. */
export function rolloutHtml(report: RolloutReport): string {
  const { project, stack, verdict, rollouts, never, kubernetes } = report;
  const { level, label } = looks[report.result];
  const patterns = ganttPatterns();
  return page(
    `${stack}: ${verdict}`,
    h`<p class="eyebrow">Rollout of <b>${project}/${stack}</b> · ${formatMoment(report.made)} · from the stack's state</p>
      <header class="verdict ${level}"><p class="label">${label}</p><h1>${verdict}</h1></header>
      ${rollouts.length === 0 ? "" : patterns}
      ${renderProblems(report)}
      ${rollouts.map((rollout, index) => renderRollout(rollout, index === 0 ? "Last rollout" : "Earlier"))}
      ${kubernetes === undefined ? "" : renderKubernetes(kubernetes)}
      ${never.length === 0 ? "" : h`<section><h2>Never upgraded by this stack</h2><p>${never.map(({ name, running }) => `${name}${running === "" ? "" : ` (${running})`}`).join(", ")}</p></section>`}
      <footer><p>Made by <code>npm run rollout:report</code> from the output <code>timeline</code> of each node's upgrade and of that of Kubernetes. Times are UTC.</p></footer>`,
  );
}

function renderProblems(report: RolloutReport): Html {
  const found = nodesOf(report).flatMap((node) =>
    reasonsOf(node).map((reason) => ({ name: node.name, reason })),
  );
  if (found.length === 0) return h``;
  const items = found.map(({ name, reason }) => h`<li><h3>${name}</h3><p>${prose(reason)}</p></li>`);
  return h`<section><h2>What went wrong</h2><div class="card loud"><ul>${items}</ul></div></section>`;
}

function renderRollout(rollout: Rollout, title: string): Html {
  const { nodes, to, started, ended } = rollout;
  const images = to.map((image) => formatImage(image, nodes[0]?.timeline.from)).join(", ");
  const took = formatDuration((ended - started) / 1000);
  return h`<section>
    <h2>${title}: ${images}, ${formatMoment(started)}</h2>
    <p class="soft">${formatCount(nodes.length, "node")} in ${took}.</p>
    <div class="card">${gantt(rollout, `The steps of ${formatCount(nodes.length, "node")} over ${took}; the table below has the same as numbers.`)}${ganttLegend()}</div>
    ${renderTable(nodes)}
  </section>`;
}

function renderKubernetes(timeline: KubernetesTimeline): Html {
  const { steps, started, reason } = timeline;
  const rows = steps.map(
    (step) =>
      h`<tr><th scope="row">${step.name}</th><td class="nowrap">${formatClockTime(step.started)}</td><td class="number">${formatDuration(step.seconds)}</td></tr>`,
  );
  return h`<section>
    <h2>Last upgrade of Kubernetes: ${formatMoment(started)}</h2>
    <p class="soft">${describeKubernetesUpgrade(timeline)}</p>
    ${reason === undefined ? "" : h`<div class="card loud"><p>${prose(reason)}</p></div>`}
    <div class="scroll" tabindex="0" role="region" aria-label="Parts of the upgrade"><table>
    <thead><tr><th scope="col">Part</th><th scope="col">Started</th><th scope="col" class="number">Took</th></tr></thead>
    <tbody>${rows}</tbody>
    </table></div>
  </section>`;
}

function renderTable(nodes: UpgradedNode[]): Html {
  // The result comes second: on a phone the end of a row is out of sight.
  const head = ["Node", "Result", "From", "To", "Started", "Total"];
  return h`<div class="scroll" tabindex="0" role="region" aria-label="Seconds of each step"><table>
    <thead><tr>${head.map((text) => h`<th scope="col"${text === "Total" ? h` class="number"` : ""}>${text}</th>`)}${phases.map(({ label }) => h`<th scope="col" class="number">${label}</th>`)}</tr></thead>
    <tbody>${nodes.map(renderRow)}</tbody>
  </table></div>`;
}

function renderRow({ name, timeline }: UpgradedNode): Html {
  const { from, to, started, seconds: total, steps, result } = timeline;
  const each = phaseSeconds(steps);
  return h`<tr><th scope="row">${name}</th><td class="nowrap"><span class="tag ${result === "upgraded" ? "no" : "delete"}">${describeOutcome(timeline)}</span></td><td class="nowrap">${formatImage(from, to)}</td><td class="nowrap">${formatImage(to, from)}</td><td class="nowrap">${formatClockTime(started)}</td><td class="number">${formatDuration(total)}</td>${phases.map(({ id }) => h`<td class="number">${formatSeconds(each.get(id))}</td>`)}</tr>`;
}
