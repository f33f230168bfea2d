import type { WriteStream } from "node:tty";

/** Receives progress reports. */
export interface ProgressSink {
  /** A permanent line: something started or ended. */
  readonly onProgress?: (line: string) => void;
  /** The current state, about every second. Each one replaces the one before. */
  readonly onStatus?: (line: string) => void;
}

/** A sink for a stream. On a terminal, the last line shows the status; elsewhere only the permanent lines appear. */
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
