import type { Outcome } from "./upgrade.ts";
import type { UpgradePart } from "./work.ts";

/** The last Kubernetes upgrade of a cluster, kept in the state for the rollout report. */
export interface KubernetesTimeline {
  /** The release before: `v1.35.4`, or several if an upgrade was in progress. */
  from: string;
  to: string;
  /** When it began, ISO 8601 in UTC. */
  started: string;
  /** How long it took. */
  seconds: number;
  ended: "upgraded" | "postponed" | "failed" | "cancelled";
  /** Why it didn't finish. */
  reason?: string;
  /** Parts in the order of work: `kube-apiserver v1.36.1 on cp1`. */
  steps: { name: string; started: string; seconds: number }[];
}

/** The timeline of one `up`; a run that did nothing keeps the last one. */
export function kubernetesTimeline(
  { from, to, parts }: { from: string; to: string; parts: readonly UpgradePart[] },
  outcome: Outcome,
  isCancelled: boolean,
): KubernetesTimeline | undefined {
  const [first, last] = [parts[0], parts.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  const ended = outcome.ok ? (outcome.postponed === undefined ? "upgraded" : "postponed") : "failed";
  const reason = outcome.ok ? outcome.postponed : outcome.error.message;
  return {
    ...{ from, to, started: isoTime(first.begun), seconds: roundedSeconds(last.ended - first.begun) },
    ended: ended === "failed" && isCancelled ? "cancelled" : ended,
    ...(reason === undefined ? {} : { reason }),
    steps: parts.map(({ text, begun, ended: end }) => ({
      name: text,
      started: isoTime(begun),
      seconds: roundedSeconds(end - begun),
    })),
  };
}

function isoTime(at: number): string {
  return new Date(at).toISOString();
}

function roundedSeconds(ms: number): number {
  return Math.round(ms / 10) / 100;
}
