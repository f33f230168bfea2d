/** Time as a drawing has it: where nobody works for long, the axis is broken. */

export interface Span {
  /** Milliseconds since 1970. */
  from: number;
  to: number;
}

export interface TimeAxis {
  /** Place of a moment, 0 to 100. */
  at(moment: number): number;
  ticks: { at: number; moment: number }[];
  /** Where time was left out. */
  breaks: { from: number; to: number; seconds: number }[];
}

/** What a left out wait takes of the drawing, as part of the work. */
const breakPart = 0.08;
/** A wait that takes more than this part of the work is left out. */
const longestWaitShown = 0.35;
const tickDistance = 24;

/** @param work times of work, in any order; at least one. */
export function timeAxis(work: readonly Span[]): TimeAxis {
  const busy = mergeSpans(work);
  const total = Math.max(
    1,
    busy.reduce((sum, { from, to }) => sum + to - from, 0),
  );
  const pieces: { from: number; to: number; size: number; isBreak: boolean }[] = [];
  for (const span of busy) {
    const before = pieces.at(-1);
    if (before !== undefined) {
      const wait = span.from - before.to;
      const isBreak = wait > total * longestWaitShown;
      pieces.push({ from: before.to, to: span.from, size: isBreak ? total * breakPart : wait, isBreak });
    }
    pieces.push({ ...span, size: Math.max(1, span.to - span.from), isBreak: false });
  }
  const whole = pieces.reduce((sum, { size }) => sum + size, 0);
  const at = (moment: number): number => {
    let place = 0;
    for (const { from, to, size } of pieces) {
      if (moment <= to)
        return toPercent((place + (size * Math.max(0, moment - from)) / Math.max(1, to - from)) / whole);
      place += size;
    }
    return 100;
  };
  return {
    at,
    ticks: ticksOf(busy, at),
    breaks: pieces
      .filter(({ isBreak }) => isBreak)
      .map(({ from, to }) => ({ from: at(from), to: at(to), seconds: (to - from) / 1000 })),
  };
}

/** The beginnings of work, and round times in between, as far as they do not stand on each other. */
function ticksOf(busy: readonly Span[], at: (moment: number) => number): TimeAxis["ticks"] {
  const ticks: TimeAxis["ticks"] = [];
  const add = (moment: number) => {
    const place = at(moment);
    if (ticks.every((tick) => Math.abs(tick.at - place) >= tickDistance)) ticks.push({ at: place, moment });
  };
  for (const { from } of busy) add(from);
  for (const { from, to } of busy) {
    const step = roundStep((to - from) / 4);
    for (let moment = Math.ceil(from / step) * step; moment < to; moment += step) add(moment);
  }
  return ticks.toSorted((a, b) => a.at - b.at);
}

const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];

function roundStep(ms: number): number {
  return (steps.find((step) => step * 1000 >= ms) ?? Math.ceil(ms / 86_400_000) * 86_400) * 1000;
}

function mergeSpans(spans: readonly Span[]): Span[] {
  const result: Span[] = [];
  for (const span of spans.toSorted((a, b) => a.from - b.from)) {
    const last = result.at(-1);
    if (last !== undefined && span.from <= last.to) last.to = Math.max(last.to, span.to);
    else result.push({ ...span });
  }
  return result;
}

function toPercent(part: number): number {
  return Math.min(100, Math.max(0, Math.round(part * 100_000) / 1000));
}
