import { nodesOf, reasonsOf, type Rollout, type RolloutReport, type UpgradedNode } from "../model/rollout.ts";
import { count } from "../model/verdict.ts";
import { gantt, ganttLegend, ganttPatterns } from "./gantt.ts";
import { h, prose, type Html } from "./html.ts";
import { page } from "./page.ts";
import { phases, phaseSeconds, seconds } from "./steps.ts";
import type { KubernetesTimeline } from "../model/kubernetes.ts";
import { clockTime, duration, imageName, kubernetesVerdict, moment, outcome } from "./words.ts";

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
    h`<p class="eyebrow">Rollout of <b>${project}/${stack}</b> · ${moment(report.made)} · from the stack's state</p>
      <header class="verdict ${level}"><p class="label">${label}</p><h1>${verdict}</h1></header>
      ${rollouts.length === 0 ? "" : patterns}
      ${problems(report)}
      ${rollouts.map((rollout, index) => section(rollout, index === 0 ? "Last rollout" : "Earlier"))}
      ${kubernetes === undefined ? "" : kubernetesSection(kubernetes)}
      ${never.length === 0 ? "" : h`<section><h2>Never upgraded by this stack</h2><p>${never.map(({ name, running }) => `${name}${running === "" ? "" : ` (${running})`}`).join(", ")}</p></section>`}
      <footer><p>Made by <code>npm run rollout:report</code> from the output <code>timeline</code> of each node's upgrade and of that of Kubernetes. Times are UTC.</p></footer>`,
  );
}

function problems(report: RolloutReport): Html {
  const found = nodesOf(report).flatMap((node) =>
    reasonsOf(node).map((reason) => ({ name: node.name, reason })),
  );
  if (found.length === 0) return h``;
  const items = found.map(({ name, reason }) => h`<li><h3>${name}</h3><p>${prose(reason)}</p></li>`);
  return h`<section><h2>What went wrong</h2><div class="card loud"><ul>${items}</ul></div></section>`;
}

function section(rollout: Rollout, title: string): Html {
  const { nodes, to, started, ended } = rollout;
  const images = to.map((image) => imageName(image, nodes[0]?.timeline.from)).join(", ");
  const took = duration((ended - started) / 1000);
  return h`<section>
    <h2>${title}: ${images}, ${moment(started)}</h2>
    <p class="soft">${count(nodes.length, "node")} in ${took}.</p>
    <div class="card">${gantt(rollout, `The steps of ${count(nodes.length, "node")} over ${took}; the table below has the same as numbers.`)}${ganttLegend()}</div>
    ${table(nodes)}
  </section>`;
}

function kubernetesSection(timeline: KubernetesTimeline): Html {
  const { steps, started, reason } = timeline;
  const rows = steps.map(
    (step) =>
      h`<tr><th scope="row">${step.name}</th><td class="nowrap">${clockTime(step.started)}</td><td class="number">${duration(step.seconds)}</td></tr>`,
  );
  return h`<section>
    <h2>Last upgrade of Kubernetes: ${moment(started)}</h2>
    <p class="soft">${kubernetesVerdict(timeline)}</p>
    ${reason === undefined ? "" : h`<div class="card loud"><p>${prose(reason)}</p></div>`}
    <div class="scroll" tabindex="0" role="region" aria-label="Parts of the upgrade"><table>
    <thead><tr><th scope="col">Part</th><th scope="col">Started</th><th scope="col" class="number">Took</th></tr></thead>
    <tbody>${rows}</tbody>
    </table></div>
  </section>`;
}

function table(nodes: UpgradedNode[]): Html {
  // The result comes second: on a phone the end of a row is out of sight.
  const head = ["Node", "Result", "From", "To", "Started", "Total"];
  return h`<div class="scroll" tabindex="0" role="region" aria-label="Seconds of each step"><table>
    <thead><tr>${head.map((text) => h`<th scope="col"${text === "Total" ? h` class="number"` : ""}>${text}</th>`)}${phases.map(({ label }) => h`<th scope="col" class="number">${label}</th>`)}</tr></thead>
    <tbody>${nodes.map(row)}</tbody>
  </table></div>`;
}

function row({ name, timeline }: UpgradedNode): Html {
  const { from, to, started, seconds: total, steps, result } = timeline;
  const each = phaseSeconds(steps);
  return h`<tr><th scope="row">${name}</th><td class="nowrap"><span class="tag ${result === "upgraded" ? "no" : "delete"}">${outcome(timeline)}</span></td><td class="nowrap">${imageName(from, to)}</td><td class="nowrap">${imageName(to, from)}</td><td class="nowrap">${clockTime(started)}</td><td class="number">${duration(total)}</td>${phases.map(({ id }) => h`<td class="number">${seconds(each.get(id))}</td>`)}</tr>`;
}
