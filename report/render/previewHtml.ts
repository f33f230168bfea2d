import type { ConfigurationGroup, MessageGroup, PreviewReport } from "../model/preview.ts";
import type { NodePlan } from "../model/nodes.ts";
import type { ResourceChange } from "../model/resources.ts";
import { formatCount } from "../model/verdict.ts";
import { diffBlock, linesBlock, propertyList, textBlock } from "./diffHtml.ts";
import { h, prose, type Html } from "./html.ts";
import { page } from "./page.ts";
import {
  actionText,
  configurationText,
  estimateText,
  lossText,
  onNodeLines,
  operationText,
  rebootReason,
  rebootText,
  stagesOf,
} from "./texts.ts";
import { formatDuration, describeLastUpgrade, formatMoment } from "./format.ts";

const levelText = {
  failed: "Preview failed",
  danger: "Storage at risk",
  careful: "Nodes go down",
  calm: "No node goes down",
  nothing: "No changes",
} as const;

/** A preview as one page, for who has to approve it. */
export function previewHtml(report: PreviewReport): string {
  const { project, stack, verdict } = report;
  return page(
    `${stack}: ${verdict.text}`,
    h`
      <p class="eyebrow">
        Preview of <b>${project}/${stack}</b> · ${formatMoment(report.made)} ·
        ${report.refreshed ? "compared with the live cluster" : "compared with the stack's state"}
        ${report.approvals.map(({ cluster, digest }) => h` · plan ${cluster === "" ? "" : `of ${cluster} `}<code>${digest}</code>`)}
      </p>
      <header class="verdict ${verdict.level}">
        <p class="label">${levelText[verdict.level]}</p>
        <h1>${verdict.text}</h1>
      </header>
      ${renderFigures(report)} ${renderMessages("Errors", report.errors, "errors")} ${renderLosses(report)}
      ${renderMessages("Warnings and advisories", report.warnings, "warnings")} ${renderOrder(report)}
      ${renderConfigurations(report)} ${renderResources(report)}
      <footer>
        <p>
          Made by <code>npm run preview:report</code> from what the Pulumi engine says. Secrets are marks:
          <code>[secret]</code>, in machine configurations <code>«secret …»</code>.
        </p>
      </footer>
    `,
  );
}

function renderFigures({ nodes, counts, lastTook }: PreviewReport): Html {
  const reboots = nodes.filter(({ reboot }) => reboot === "yes").length;
  const maybe = nodes.filter(({ reboot }) => reboot === "maybe").length;
  const { create, update, replace, delete: deleted } = counts;
  return h`<dl class="figures">
    <div>
      <dt>Nodes that reboot</dt>
      <dd>
        ${reboots}${nodes.length === 0 ? "" : h` of ${nodes.length}`}${maybe === 0 ? "" : h`<small>${maybe}${reboots === 0 ? "" : " more"} may reboot</small>`}
      </dd>
    </div>
    ${
      lastTook === undefined
        ? ""
        : h`<div>
            <dt>Rollout, last time</dt>
            <dd>
              ${formatDuration(lastTook.seconds)}<small
                >${lastTook.known} of ${formatCount(lastTook.due, "node")} known</small
              >
            </dd>
          </div>`
    }
    <div>
      <dt>Made or changed</dt>
      <dd>${create + update}<small>${create} new, ${update} changed</small></dd>
    </div>
    <div>
      <dt>Replaced or deleted</dt>
      <dd>${replace + deleted}<small>${replace} replaced, ${deleted} deleted</small></dd>
    </div>
  </dl>`;
}

function renderMessages(title: string, groups: MessageGroup[], kind: "errors" | "warnings"): Html {
  if (groups.length === 0) return h``;
  const items = groups.map(
    ({ text, resources: of }) =>
      h`<li>${prose(text)}${of.length === 0 ? "" : h`<br /><span class="soft">${of.join(", ")}</span>`}</li>`,
  );
  return h`<section>
    <h2>${title}</h2>
    <div class="card">
      <ul class="messages ${kind}">
        ${items}
      </ul>
    </div>
  </section>`;
}

function renderLosses({ losses: found }: PreviewReport): Html {
  if (found.length === 0) return h``;
  const items = found.map(
    ({ what, operation, meaning, protected: kept }) =>
      h`<li><h3>${lossText[operation]}: ${what}</h3><p>${meaning}${kept ? " It is protected: the engine refuses, and `pulumi up` stops there." : ""}</p></li>`,
  );
  return h`<section><h2>Storage at risk</h2><div class="card loud"><ul>${items}</ul></div></section>`;
}

function renderOrder({ nodes, lastTook }: PreviewReport): Html {
  const stages = stagesOf(nodes);
  const leaving = nodes.filter(({ action }) => action === "leave" || action === "reset");
  const still = nodes.filter(({ action }) => action === "none");
  if (nodes.length === 0) return h``;
  const due = nodes.some(({ action }) => action === "upgrade" || action === "look");
  return h`<section>
    <h2>Nodes, in order</h2>
    ${
      due
        ? h`<p class="soft">
            First, every due node is checked and pulls its image. The first failure stops all later
            nodes${lastTook === undefined ? "." : h`. The nodes take ${estimateText(lastTook)}.`}
          </p>`
        : ""
    }
    ${stages.map(
      ({ title, lanes }) =>
        h`<div class="stage">
          <h3>${title}</h3>
          ${lanes.map((lane, index) => h`${lanes.length > 1 ? h`<p class="soft">Lane ${index + 1}</p>` : ""}<ol class="lane">${lane.map(renderNode)}</ol>`)}
        </div>`,
    )}
    ${leaving.map((node) => h`<p><b>${node.name}</b> ${actionText(node)}.</p>`)}
    ${still.length === 0 ? "" : h`<p class="soft">Not touched: ${still.map(({ name }) => name).join(", ")}.</p>`}
  </section>`;
}

function renderNode(node: NodePlan): Html {
  return h`<li>
    <div class="name">
      <span>${node.name}</span><span class="tag ${node.reboot}">${rebootText(node)}</span>
    </div>
    <p class="soft mono">${node.address}</p>
    <p>${actionText(node)}</p>
    ${rebootReason(node) === "" ? "" : h`<p class="soft">${rebootReason(node)}</p>`}
    ${node.last === undefined ? h`<p class="soft">Never upgraded by this stack</p>` : h`<p class="soft">Last time: ${describeLastUpgrade(node.last)}</p>`}
    ${node.unfinished.map((reason) => h`<p class="bad">Not finished: ${prose(reason)}</p>`)}
    ${propertyList(node.changes)}
  </li>`;
}

function renderConfigurations({ configurations: groups, nodes }: PreviewReport): Html {
  if (groups.length === 0) return h``;
  return h`<section>
    <h2>Machine configurations</h2>
    ${groups.map((group) => renderConfigurationCard(group, nodes))}
  </section>`;
}

function renderConfigurationCard({ nodes, configuration }: ConfigurationGroup, all: NodePlan[]): Html {
  const of =
    nodes.length === all.length && nodes.length > 2
      ? `All ${nodes.length} nodes`
      : nodes.map(({ name }) => name).join(", ");
  const size =
    configuration.kind === "changed"
      ? `${formatCount(configuration.diff.added, "line")} added, ${configuration.diff.removed} removed`
      : "";
  return h`<div class="card">
    <h3>${of}</h3>
    <p class="soft">
      ${size === "" ? "" : `${size}${nodes.length > 1 ? ", the same on each" : ""}. `}${configurationText(configuration, nodes)}
    </p>
    ${renderConfigurationBody(configuration, nodes)}
  </div>`;
}

function renderConfigurationBody(
  configuration: ConfigurationGroup["configuration"],
  nodes: NodePlan[],
): Html {
  if (configuration.kind !== "changed" && configuration.kind !== "first") return h``;
  const { onNode } = configuration;
  const running = onNode === undefined ? "" : linesBlock(onNodeLines(onNode), "What changes on the node");
  if (configuration.kind === "changed") {
    const asked = h`<details class="resource"><summary>What this changes on the ${nodes.length === 1 ? "node" : "nodes"}</summary><div>${running}</div></details>`;
    return h`${diffBlock(configuration.diff)}${onNode === undefined ? "" : asked}`;
  }
  const lines = formatCount(configuration.text.trimEnd().split("\n").length, "line");
  const of = nodes.length === 1 ? "" : ` of ${nodes[0]?.name ?? ""}`;
  return h`${running}<details class="resource"><summary>The whole configuration${of}, ${lines}</summary><div>${textBlock(configuration.text)}</div></details>`;
}

function renderResources({ resources: changes, counts }: PreviewReport): Html {
  if (changes.length === 0) return h``;
  const groups = Map.groupBy(changes, ({ group }) => group);
  return h`<section>
    <h2>Everything else</h2>
    ${[...groups].map(([group, own]) => renderResourceGroup(group, own))}
    ${counts.same === 0 ? "" : h`<p class="soft">${formatCount(counts.same, "resource")} unchanged.</p>`}
  </section>`;
}

/** What is to be opened first, then what one line tells. */
function renderResourceGroup(group: string, changes: ResourceChange[]): Html {
  const [plain, full] = [changes.filter(isOneLine), changes.filter((change) => !isOneLine(change))];
  const rows = plain.map((change) => h`<li>${renderResourceTitle(change)}</li>`);
  return h`<h3 class="group">${group}</h3>
    ${full.toSorted((a, b) => Number(opensByDefault(b)) - Number(opensByDefault(a))).map(renderResource)}
    ${rows.length === 0 ? "" : h`<div class="card rows"><ul>${rows}</ul></div>`}`;
}

function opensByDefault({ operation }: ResourceChange): boolean {
  return operation === "delete" || operation === "replace";
}

function isOneLine({ changes, body, unfinished }: ResourceChange): boolean {
  return changes.length === 0 && body === undefined && unfinished.length === 0;
}

function renderResourceTitle({ operation, kind, name }: ResourceChange): Html {
  return h`<span class="tag ${operation}">${operationText[operation]}</span> <span class="what">${kind}</span> ${name}`;
}

function renderResource(change: ResourceChange): Html {
  const { operation, changes, body, replaceKeys, unfinished } = change;
  return h`<details class="resource"${operation === "create" ? "" : h` open=""`}>
    <summary>${renderResourceTitle(change)}</summary>
    <div>
      ${operation === "replace" && replaceKeys.length > 0 ? h`<p class="soft">Cannot be changed in place: <code>${replaceKeys.join(", ")}</code></p>` : ""}
      ${unfinished.map((reason) => h`<p>Not finished last time: ${prose(reason)}</p>`)} ${propertyList(changes)}
      ${body === undefined ? "" : textBlock(body)}
    </div>
  </details>`;
}
