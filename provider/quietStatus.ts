import type { StatusSink } from "./progress.ts";

/**
 * Status lines that say something new. Without a terminal the engine prints a line for each call, and what waits says the same again and again.
 */
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
