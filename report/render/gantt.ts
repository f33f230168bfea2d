import type { Rollout, UpgradedNode } from "../model/rollout.ts";
import { timeAxis, type TimeAxis } from "../model/timeAxis.ts";
import type { TimelineStep } from "../model/timeline.ts";
import { h, Html } from "./html.ts";
import { phaseOf, phases, type PhaseId } from "./steps.ts";
import { formatClockTime, formatDuration, describeOutcome } from "./format.ts";

/** A rollout drawn: a lane for each node, a bar for each step. Places are parts of the width, so that it fits any. */

const top = 26;
const laneHeight = 50;
const bar = { y: 20, height: 20 };
/** Narrower bars have no room for their name; the legend and the table have it. */
const labelFrom = 13;

// A pattern of its own for each step, for whoever does not tell the colours apart.
const phasePatterns: Record<PhaseId, string> = {
  check: "",
  pull: '<circle cx="3" cy="3" r="1.2"/><circle cx="9" cy="9" r="1.2"/>',
  drain: '<path d="M-3 3 3-3M0 12 12 0M9 15 15 9"/>',
  install: '<path d="M0 6H12M6 0V12"/>',
  reboot: '<path d="M-3 9 3 15M0 0 12 12M9-3 15 3M-3 3 9 15M3-3 15 9"/>',
  verify: '<path d="M0 3H12M0 9H12"/>',
  uncordon: '<path d="M3 0V12M9 0V12"/>',
};

/** The patterns, once a page. */
export function ganttPatterns(): Html {
  const all = phases.map(
    ({ id }) =>
      h`<pattern id="p-${id}" class="pattern" width="12" height="12" patternUnits="userSpaceOnUse">${new Html(phasePatterns[id])}</pattern>`,
  );
  return h`<svg width="0" height="0" class="defs" aria-hidden="true"><defs>${all}</defs></svg>`;
}

export function ganttLegend(): Html {
  const items = phases.map(
    ({ id, label }) =>
      h`<li><svg width="22" height="14" aria-hidden="true">${drawBar(id, h`width="22" height="14" rx="2"`)}</svg>${label}</li>`,
  );
  return h`<ul class="legend">${items}<li><svg width="14" height="14" class="gantt-mark" aria-hidden="true"><path class="failure" d="M3 3 11 11M11 3 3 11"/></svg>failed</li><li><svg width="22" height="14" class="gantt-mark" aria-hidden="true"><line class="idle" x1="0" x2="22" y1="7" y2="7"/></svg>waiting</li></ul>`;
}

export function gantt({ nodes, started, ended }: Rollout, label: string): Html {
  const work = nodes.flatMap(({ timeline }) =>
    timeline.steps.map((step) => ({ from: step.started, to: stepEnd(step) })),
  );
  const axis = timeAxis(work);
  const height = top + nodes.length * laneHeight + 4;
  return h`<svg class="gantt" width="100%" height="${height}" role="img" aria-label="${label}">
${axis.ticks.map(({ at, moment }) => drawTick(at, formatClockTime(moment), height))}
${axis.breaks.map(({ from, to, seconds }) => drawGap((from + to) / 2, seconds, height))}
${nodes.map((node, index) => drawLane(node, axis, top + index * laneHeight))}
</svg><p class="soft">From ${formatClockTime(started)} to ${formatClockTime(ended)} UTC.${describeBreaks(axis)}</p>`;
}

function describeBreaks({ breaks }: TimeAxis): string {
  const seconds = breaks.reduce((sum, each) => sum + each.seconds, 0);
  return seconds === 0
    ? ""
    : ` ${formatDuration(seconds)} without activity are left out at the dotted lines.`;
}

function drawTick(at: number, text: string, height: number): Html {
  return h`<line class="axis" x1="${at}%" x2="${at}%" y1="16" y2="${height}"/><text class="tick" x="${at}%" y="11" text-anchor="${at > 85 ? "end" : "start"}">${text}</text>`;
}

function drawGap(at: number, seconds: number, height: number): Html {
  return h`<svg x="${at}%" y="0" overflow="visible"><title>No activity for ${formatDuration(seconds)}</title><path class="idle" d="M-3 16V${height}M3 16V${height}"/></svg>`;
}

function drawLane({ name, timeline }: UpgradedNode, axis: TimeAxis, y: number): Html {
  const failed = timeline.result !== "upgraded";
  const took = failed ? describeOutcome(timeline) : formatDuration(timeline.seconds);
  const [from, to] = [axis.at(timeline.started), axis.at(timeline.ended)];
  return h`<g><text class="name" x="0" y="${y + 14}">${name}</text><text class="${failed ? "why" : "time"}" x="100%" y="${y + 14}" text-anchor="end">${took}</text>
<rect class="lane" x="0" y="${y + bar.y}" width="100%" height="${bar.height}" rx="3"/>
<line class="idle" x1="${from}%" x2="${to}%" y1="${y + bar.y + bar.height / 2}" y2="${y + bar.y + bar.height / 2}"/>
${timeline.steps.map((step) => drawStep(step, axis, y + bar.y))}
${failed ? h`<svg x="${to}%" y="${y + bar.y + bar.height / 2}" overflow="visible"><title>${timeline.reason ?? "failed"}</title><circle class="failure-ground" cx="${to > 97 ? -8 : 0}" r="9"/><path class="failure" transform="translate(${to > 97 ? -8 : 0} 0)" d="M-4-4 4 4M4-4-4 4"/></svg>` : ""}</g>`;
}

function drawStep(step: TimelineStep, axis: TimeAxis, y: number): Html {
  const [from, to] = [axis.at(step.started), axis.at(stepEnd(step))];
  const width = Math.round((to - from) * 1000) / 1000;
  if (width <= 0.05) return h``;
  const id = phaseOf(step.name);
  const place = h`x="0" y="0" width="100%" height="${bar.height}"`;
  const text = width < labelFrom ? "" : h`<text class="step" x="6" y="14">${step.name}</text>`;
  return h`<svg x="${from}%" y="${y}" width="${width}%" height="${bar.height}"><title>${step.name}: ${formatDuration(step.seconds)}, from ${formatClockTime(step.started)}</title>${drawBar(id, place)}${text}</svg>`;
}

function drawBar(id: PhaseId, place: Html): Html {
  return h`<rect class="s-${id}" ${place}/><rect fill="url(#p-${id})" ${place}/>`;
}

function stepEnd(step: TimelineStep): number {
  return step.started + step.seconds * 1000;
}
