import type { WriteStream } from "node:tty";

/** Takes word of how far the work is. */
export interface ProgressSink {
  /** A line that stays: something began or ended. */
  readonly onProgress?: (line: string) => void;
  /** How things stand right now, every second or so: the last one takes the place of the one before. */
  readonly onStatus?: (line: string) => void;
}

/** A sink for a stream: on a terminal the status is a moving last line, elsewhere only lines that stay appear. */
export function progressOn(stream: WriteStream): ProgressSink & { readonly end: () => void } {
  const onProgress = (line: string): void => void stream.write(`${line}\n`);
  if (!stream.isTTY) {
    return { onProgress, end: () => undefined };
  }
  const wipe = "\r\u001b[2K";
  return {
    onProgress: (line) => void stream.write(`${wipe}${line}\n`),
    onStatus: (line) => void stream.write(`${wipe}${line.slice(0, (stream.columns || 80) - 1)}`),
    end: () => void stream.write(wipe),
  };
}

/** `8 s`, `2 min 05 s` */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) {
    return `${seconds} s`;
  }
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
}
