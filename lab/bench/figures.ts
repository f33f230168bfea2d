/** The middle of a number of measurements, with the outermost ones. */
export interface Figure {
  median: number;
  least: number;
  most: number;
}

export function figure(values: number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median =
    sorted.length % 2 === 1 ? at(sorted, middle) : (at(sorted, middle - 1) + at(sorted, middle)) / 2;
  return { median, least: at(sorted, 0), most: at(sorted, sorted.length - 1) };
}

function at(values: number[], index: number): number {
  const value = values[index];
  if (value === undefined) throw new Error("nothing was measured");
  return value;
}

export function seconds({ median, least, most }: Figure): string {
  return `${median.toFixed(2)} s (${least.toFixed(2)} to ${most.toFixed(2)})`;
}

/** How long something takes, in seconds. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return (performance.now() - begun) / 1000;
}
