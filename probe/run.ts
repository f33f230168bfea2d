import { realClock } from "../provider/clock.ts";
import { connectProbe } from "../provider/storage/probe/api.ts";
import type { ProbeRequest } from "../provider/storage/probe/plan.ts";
import { runProbe } from "../provider/storage/probe/probe.ts";
import type { ProbeReport } from "../provider/storage/probe/report.ts";

/**
 * Probes one request after the other.
 * @param signal ends the probe: what it has made is removed, then it fails
 */
export async function runProbes(
  kubeconfig: string,
  requests: readonly ProbeRequest[],
  tell: (line: string) => void,
  signal: AbortSignal,
): Promise<ProbeReport> {
  const cluster = await connectProbe(kubeconfig);
  const reports: ProbeReport[] = [];
  for (const request of requests)
    reports.push(await runProbe(cluster, request, { clock: realClock, signal, tell }));
  return {
    result: reports.every(({ result }) => result === "passed") ? "passed" : "failed",
    volumes: reports.flatMap(({ volumes }) => volumes),
    skipped: reports.flatMap(({ skipped }) => skipped),
    left: reports.flatMap(({ left }) => left),
    removed: reports.flatMap(({ removed }) => removed),
  };
}

/** Ends with Ctrl-C and with what a pipeline sends; the second time at once, as without it. */
export function abortOnInterrupt(tell: (line: string) => void): AbortSignal {
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const)
    process.once(name, () => {
      tell("stopping: cleaning up");
      stop.abort();
    });
  return stop.signal;
}
