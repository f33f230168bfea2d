import { duration, type Clock } from "./clock.ts";
import { stepNames, type StepName } from "./errors.ts";

/** Where status lines go. */
export interface StatusSink {
  /** Replaces the line shown beside the resource. */
  status(text: string): void;
  /** Stays. */
  info(text: string): void;
  warn(text: string): void;
}

/** One line a node, that moves through the names of the steps. */
export interface Progress {
  step(name: StepName, detail?: string): void;
  /** More about the current step, shown now and then. */
  detail(text: string): void;
  info(text: string): void;
  warn(text: string): void;
  /** How long each step took so far: `drain 3 s, install 12 s`. */
  summary(): string;
}

// Often enough for a person who watches. Without a terminal every line is printed: there a step is to be one line.
const tickMs = 10_000;
const shownInSummaryMs = 950;

export class StepProgress implements Progress {
  readonly #sink: StatusSink;
  readonly #clock: Clock;
  readonly #begun: number;
  readonly #taken: { name: StepName; ms: number }[] = [];
  #step: StepName = "inspect";
  #stepBegun: number;
  #detail = "";
  #shownAt = -Infinity;

  constructor(sink: StatusSink, clock: Clock) {
    this.#sink = sink;
    this.#clock = clock;
    this.#begun = clock.now();
    this.#stepBegun = this.#begun;
  }

  step(name: StepName, detail = ""): void {
    const now = this.#clock.now();
    this.#taken.push({ name: this.#step, ms: now - this.#stepBegun });
    this.#step = name;
    this.#stepBegun = now;
    this.#detail = detail;
    this.#show(now);
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
    const all = [...this.#taken, { name: this.#step, ms: this.#clock.now() - this.#stepBegun }];
    return all
      .filter(({ ms }) => ms >= shownInSummaryMs)
      .map(({ name, ms }) => `${name} ${duration(ms)}`)
      .join(", ");
  }

  #show(now: number): void {
    this.#shownAt = now;
    const place = `[${stepNames.indexOf(this.#step) + 1}/${stepNames.length}] ${this.#step}`;
    const detail = this.#detail === "" ? "" : ` · ${this.#detail}`;
    this.#sink.status(`${place} · ${duration(now - this.#begun)}${detail}`);
  }
}
