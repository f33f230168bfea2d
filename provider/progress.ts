import { formatDuration, type Clock } from "./clock.ts";
import { stepNames, type StepName } from "./errors.ts";

/** Where status lines go. */
export interface StatusSink {
  /** Replaces the line shown next to the resource. */
  status(text: string): void;
  /** A permanent line. */
  info(text: string): void;
  warn(text: string): void;
}

/** A step that has started. */
export interface StepTime {
  name: StepName;
  /** Milliseconds since 1970. */
  startedAt: number;
  /** How long it took; for the current step, so far. */
  ms: number;
}

/** `[3/11] guard` */
export function stepPlace(step: StepName): string {
  return `[${stepNames.indexOf(step) + 1}/${stepNames.length}] ${step}`;
}

/** One line per node that moves through the step names. */
export interface Progress {
  step(name: StepName, detail?: string): void;
  /** More about the current step, shown periodically. */
  detail(text: string): void;
  info(text: string): void;
  warn(text: string): void;
  /** How long each step took so far: `drain 3 s, install 12 s`. */
  summary(): string;
  /** Every started step, in order. */
  times(): StepTime[];
}

const doNothing = (): void => undefined;

/** Reports and records nothing. */
export const silentProgress: Progress = {
  step: doNothing,
  detail: doNothing,
  info: doNothing,
  warn: doNothing,
  times: () => [],
  summary: () => "",
};

// Often enough for someone watching. Without a terminal every line is printed, so a step should be one line.
const tickMs = 10_000;
const shownInSummaryMs = 950;

export class StepProgress implements Progress {
  readonly #sink: StatusSink;
  readonly #clock: Clock;
  readonly #showsSteps: boolean;
  readonly #begun: number;
  /** Start in calendar time, for display; steps are measured by the monotonic clock. */
  readonly #begunAt: number;
  readonly #steps: { name: StepName; begun: number }[] = [];
  #detail = "";
  #shownAt = -Infinity;

  /** @param showsSteps whether each step is shown when it starts. Waits are always shown. Default: yes */
  constructor(sink: StatusSink, clock: Clock, { begunAt = Date.now(), showsSteps = true } = {}) {
    this.#sink = sink;
    this.#clock = clock;
    this.#showsSteps = showsSteps;
    this.#begun = clock.now();
    this.#begunAt = begunAt;
  }

  step(name: StepName, detail = ""): void {
    const now = this.#clock.now();
    this.#steps.push({ name, begun: now });
    this.#detail = detail;
    if (this.#showsSteps) this.#show(now);
    else this.#shownAt = now;
  }

  detail(text: string): void {
    const now = this.#clock.now();
    if (now - this.#shownAt < tickMs) return;
    this.#detail = text;
    this.#show(now);
  }

  info(text: string): void {
    this.#sink.info(text);
  }

  warn(text: string): void {
    this.#sink.warn(text);
  }

  summary(): string {
    return this.times()
      .filter(({ ms }) => ms >= shownInSummaryMs)
      .map(({ name, ms }) => `${name} ${formatDuration(ms)}`)
      .join(", ");
  }

  times(): StepTime[] {
    const now = this.#clock.now();
    return this.#steps.map(({ name, begun }, index) => ({
      name,
      startedAt: this.#begunAt + Math.round(begun - this.#begun),
      ms: (this.#steps[index + 1]?.begun ?? now) - begun,
    }));
  }

  #show(now: number): void {
    this.#shownAt = now;
    const step = this.#steps.at(-1)?.name ?? "inspect";
    const detail = this.#detail === "" ? "" : ` · ${this.#detail}`;
    this.#sink.status(`${stepPlace(step)} · ${formatDuration(now - this.#begun)}${detail}`);
  }
}
