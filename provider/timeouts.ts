import type { Clock } from "./clock.ts";

/** How long to wait before something counts as a failure, in milliseconds. */
export interface Timeouts {
  /** Between the first two polls for an expected change. Later pauses grow, with some jitter. */
  pollMs: number;
  /** The longest pause between two polls. */
  pollMaxMs: number;
  /** For one answer of a node that may be down. */
  probeMs: number;
  /** For a node to answer at all. */
  contactMs: number;
  /** For a node that presents a certificate of another CA: it may be leaving maintenance mode. */
  certificateMs: number;
  /** For guard problems that may clear by themselves, such as etcd that has just started. */
  guardMs: number;
  /** For a machine or etcd to recover, such as after a configuration change: static pods take minutes to become ready again. */
  recoveryMs: number;
  /** For the Kubernetes API to answer. */
  kubernetesMs: number;
  /** For a node to act on a reboot request, before retrying. */
  rebootMs: number;
  /** For extensions and files to appear on a running machine. */
  settleMs: number;
  /** For services to run on a running machine. */
  serviceMs: number;
  /** Between the first two eviction attempts for a pod; later pauses grow. */
  evictMs: number;
  /** The longest pause between two eviction attempts. */
  evictMaxMs: number;
  /** How long the control planes must stay healthy before the next one's configuration is changed: a restart takes a moment to show. */
  steadyMs: number;
  /** For iSCSI sessions without an attachment to end, if the settings tolerate them. */
  leftoverMs: number;
}

export const defaultTimeouts: Timeouts = {
  pollMs: 250,
  pollMaxMs: 2_000,
  probeMs: 2_000,
  contactMs: 300_000,
  certificateMs: 60_000,
  guardMs: 10_000,
  recoveryMs: 600_000,
  kubernetesMs: 30_000,
  rebootMs: 10_000,
  settleMs: 10_000,
  serviceMs: 120_000,
  evictMs: 1_000,
  evictMaxMs: 60_000,
  steadyMs: 2_000,
  leftoverMs: 60_000,
};

/** Pauses between polls: each half again as long as the last, up to a limit, with jitter. */
export function backoff(clock: Clock, firstMs: number, limitMs: number): () => number {
  let next = firstMs;
  return () => {
    const jitter = 0.8 + 0.4 * (clock.random?.() ?? Math.random());
    const pause = Math.min(limitMs, next * jitter);
    next = Math.min(limitMs, next * 1.5);
    return pause;
  };
}
