import type { Outcome } from "./upgrade.ts";
import type { UpgradePart } from "./work.ts";

/** The last upgrade of a cluster's Kubernetes, kept in its state: what a rollout report tells of it. */
export interface KubernetesTimeline {
  /** What ran: `v1.35.4`, or several where an upgrade was in the middle. */
  from: string;
  to: string;
  /** When it began, ISO 8601 in UTC. */
  started: string;
  /** How long it took until it ended. */
  seconds: number;
  ended: "upgraded" | "postponed" | "failed" | "cancelled";
  /** Why it has not come to its end. */
  reason?: string;
  /** Parts in the order in which they were worked at: `kube-apiserver v1.36.1 on cp1`. */
  steps: { name: string; started: string; seconds: number }[];
}

/** Of what was done in one `up`; a run that did nothing leaves the last one as it was. */
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
