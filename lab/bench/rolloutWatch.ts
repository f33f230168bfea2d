import { labReport } from "../control.ts";

/** The most machines of each role seen down at the same time. */
export interface MostDown {
  controlPlanes: number;
  workers: number;
  samples: number;
}

/** Polls a lab's machines every 50 ms until it is stopped. */
export class RolloutWatch {
  readonly most: MostDown = { controlPlanes: 0, workers: 0, samples: 0 };
  readonly #socket: string;
  readonly #timer: NodeJS.Timeout;

  constructor(socket: string) {
    this.#socket = socket;
    this.#timer = setInterval(() => void this.#look(), 50);
  }

  stop(): MostDown {
    clearInterval(this.#timer);
    return this.most;
  }

  async #look(): Promise<void> {
    const report = await labReport(this.#socket).catch(() => undefined);
    if (report === undefined) return;
    const down = report.nodes.filter(({ stage }) => stage !== "running").map(({ name }) => name);
    const workers = down.filter((name) => name.startsWith("w")).length;
    this.most.samples += 1;
    this.most.workers = Math.max(this.most.workers, workers);
    this.most.controlPlanes = Math.max(this.most.controlPlanes, down.length - workers);
  }
}
