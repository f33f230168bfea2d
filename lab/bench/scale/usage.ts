import { readFileSync, readdirSync } from "node:fs";

/** The part a process belongs to: the program, the engine, or a plugin by its name. */
export type Part = "program" | "engine" | "talos-node" | "talos" | "kubernetes" | "other";

/** What a process and its children used. */
export interface Usage {
  /** Peak resident memory in MB, by part; if a part has several processes, that of the largest. */
  peakMb: Partial<Record<Part, number>>;
  /** User and system time in seconds, by part. */
  cpuSeconds: Partial<Record<Part, number>>;
}

const ticksPerSecond = 100;

/** Watches a process tree through /proc until it is stopped. Peaks come from the kernel (VmHWM), so infrequent samples miss little. */
export class UsageWatch {
  readonly #root: number;
  readonly #timer: NodeJS.Timeout;
  readonly #seen = new Map<number, { part: Part; peakMb: number; cpuSeconds: number }>();

  constructor(root: number, everyMs = 100) {
    this.#root = root;
    this.#timer = setInterval(() => this.#look(), everyMs);
    this.#look();
  }

  stop(): Usage {
    clearInterval(this.#timer);
    const usage: Usage = { peakMb: {}, cpuSeconds: {} };
    for (const { part, peakMb, cpuSeconds } of this.#seen.values()) {
      usage.peakMb[part] = Math.max(usage.peakMb[part] ?? 0, peakMb);
      usage.cpuSeconds[part] = (usage.cpuSeconds[part] ?? 0) + cpuSeconds;
    }
    return usage;
  }

  #look(): void {
    const parents = new Map<number, number>();
    for (const entry of readdirSync("/proc")) {
      const stat = /^\d+$/.test(entry) ? fileOf(`/proc/${entry}/stat`) : "";
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (stat !== "") parents.set(Number(entry), Number(fields[1]));
    }
    for (const pid of parents.keys()) if (this.#belongs(pid, parents)) this.#note(pid);
  }

  #belongs(pid: number, parents: ReadonlyMap<number, number>): boolean {
    for (let at: number | undefined = pid; at !== undefined && at > 1; at = parents.get(at))
      if (at === this.#root) return true;
    return false;
  }

  #note(pid: number): void {
    const stat = fileOf(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = Number(fields[11]) + Number(fields[12]);
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(fileOf(`/proc/${pid}/status`))?.[1];
    if (stat === "" || peak === undefined) return;
    this.#seen.set(pid, {
      part: partOf(fileOf(`/proc/${pid}/cmdline`).split("\0")),
      peakMb: Number(peak) / 1024,
      cpuSeconds: ticks / ticksPerSecond,
    });
  }
}

function partOf(command: readonly string[]): Part {
  const text = command.join(" ");
  if (/@pulumi\/pulumi\/cmd\/run\//.test(text)) return "program";
  if (/pulumi-resource-kubernetes/.test(text)) return "kubernetes";
  if (/plugins\/talos\/|pulumi-resource-talos( |$)/.test(text)) return "talos";
  if (/provider\/index\.ts|pulumi-resource-talos-node/.test(text)) return "talos-node";
  return /(^|\/)pulumi( |$)/.test(command[0] ?? "") ? "engine" : "other";
}

/** A process may exit between two samples. */
function fileOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
