import type { StatusSink } from "./progress.ts";

/** Drops repeated status lines. Without a terminal the engine prints a line per call, and waits repeat themselves. */
export function withoutRepeats(statusOf: (urn: string) => StatusSink): (urn: string) => StatusSink {
  const shown = new Map<string, string>();
  return (urn) => {
    const sink = statusOf(urn);
    return {
      status: (text) => {
        if (shown.get(urn) === text) return;
        shown.set(urn, text);
        sink.status(text);
      },
      info: (text) => sink.info(text),
      warn: (text) => sink.warn(text),
    };
  };
}
