import type { Clock } from "./clock.ts";

/** How long to look before something counts as wrong, in milliseconds. */
export interface Timeouts {
  /** Between the first two looks at something that is expected to change. The next ones are further apart, with some jitter. */
  pollMs: number;
  /** The longest time between two looks. */
  pollMaxMs: number;
  /** For one answer of a node that may be gone. */
  probeMs: number;
  /** For a node to answer at all. */
  contactMs: number;
  /** For a node that presents a certificate of another CA: it may be leaving maintenance mode. */
  certificateMs: number;
  /** For a guard that may pass by itself, such as etcd that has just started. */
  guardMs: number;
  /** For a machine or an etcd that is on its way back, such as after a change of the configuration: static pods take minutes to be ready again. */
  recoveryMs: number;
  /** For the Kubernetes API to answer. */
  kubernetesMs: number;
  /** For a node to act on a reboot request, before asking again. */
  rebootMs: number;
  /** For extensions and files to show up on a machine that is running. */
  settleMs: number;
  /** For services to run on a machine that is running. */
  serviceMs: number;
  /** Between the first two tries to evict a pod; the next ones are further apart. */
  evictMs: number;
  /** The longest time between two tries to evict a pod. */
  evictMaxMs: number;
  /** How long the control planes have to be well before the next one's configuration is changed: a restart takes a moment to show. */
  steadyMs: number;
  /** For iSCSI sessions without an attachment to end, where the settings live with them. */
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

/** How long to pause before each further look: half as long again each time, up to a limit, and never quite the same. */
export function backoff(clock: Clock, firstMs: number, limitMs: number): () => number {
  let next = firstMs;
  return () => {
    const jitter = 0.8 + 0.4 * (clock.random?.() ?? Math.random());
    const pause = Math.min(limitMs, next * jitter);
    next = Math.min(limitMs, next * 1.5);
    return pause;
  };
}
