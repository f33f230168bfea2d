import { readFileSync } from "node:fs";

/** The median of several measurements, with the lowest and highest. */
export interface Figure {
  median: number;
  least: number;
  most: number;
}

export function summarize(values: number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median =
    sorted.length % 2 === 1
      ? valueAt(sorted, middle)
      : (valueAt(sorted, middle - 1) + valueAt(sorted, middle)) / 2;
  return { median, least: valueAt(sorted, 0), most: valueAt(sorted, sorted.length - 1) };
}

function valueAt(values: number[], index: number): number {
  const value = values[index];
  if (value === undefined) throw new Error("nothing was measured");
  return value;
}

export function formatFigure({ median, least, most }: Figure): string {
  return `${median.toFixed(2)} s (${least.toFixed(2)} to ${most.toFixed(2)})`;
}

/**
 * CPU seconds so far of this process and all children it has waited for: unlike wall time, hardly affected by a busy machine. Undefined where the
 * system doesn't report it (anything but Linux).
 */
export function cpuSeconds(): number | undefined {
  let stat: string;
  try {
    stat = readFileSync("/proc/self/stat", "utf8");
  } catch {
    return undefined;
  }
  // proc(5): utime, stime, cutime and cstime in hundredths of a second, after the command name in parentheses.
  const ticks = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 15);
  return ticks.reduce((sum, tick) => sum + Number(tick), 0) / 100;
}

/** Duration of the work in seconds. */
export async function measureSeconds(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return (performance.now() - begun) / 1000;
}
