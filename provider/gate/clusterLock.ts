import { createHash, randomUUID } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { realClock, type Clock } from "../clock.ts";
import { backoff, type Timeouts } from "../timeouts.ts";
import type { Finding } from "../guards/finding.ts";
import { KubernetesError, type LockLease, type LockLeases } from "../kubernetes.ts";

/** How long the lock counts as held after the last sign of its holder. */
const leaseMs = 60_000;
const renewMs = 15_000;

/** The cluster lock, as a Lease in Kubernetes: for runs that share nothing else, such as two stacks in two CI jobs. */
export interface ClusterLock {
  /** Checks right before an action that the lock is still ours. Returns undefined if so, a finding if not. */
  hold(): Promise<Finding | undefined>;
  end(): Promise<void>;
}

interface LockSite {
  readonly clock: Clock;
  readonly timeouts: Pick<Timeouts, "pollMs" | "pollMaxMs" | "kubernetesMs">;
  readonly signal: AbortSignal;
  readonly tell: (text: string) => void;
}

/**
 * Waits until nobody else holds the lock. A holder without a sign of life for a minute is gone; so is an ended process of this machine. Only the time this run
 * has seen no change counts: the clocks of two machines are never compared.
 * @returns a finding if Kubernetes doesn't answer; undefined if the kubeconfig may not use leases, in which case there is no lock
 */
export async function acquireClusterLock(
  kubernetes: LockLeases,
  site: LockSite,
): Promise<ClusterLock | Finding | undefined> {
  const { clock, timeouts, signal, tell } = site;
  const pause = backoff(clock, timeouts.pollMs, timeouts.pollMaxMs);
  let answeredAt = clock.now();
  let unchanged: { version: string; since: number } | undefined;
  for (;;) {
    try {
      const lease = await kubernetes.readLease();
      answeredAt = clock.now();
      if (unchanged === undefined || unchanged.version !== lease?.version)
        unchanged = { version: lease?.version ?? "", since: answeredAt };
      const isFree =
        lease?.holder === undefined || isHolderGone(lease) || answeredAt - unchanged.since >= leaseMs;
      if (isFree) {
        const taken = await kubernetes.writeLease(ownHolderId, lease?.version);
        if (taken !== undefined) return new HeldLease(kubernetes, taken, site);
      } else tell(`waiting: another run is working on this cluster (${lease.holder ?? ""})`);
    } catch (error) {
      if (!(error instanceof KubernetesError)) throw error;
      if (error.status === 403) return undefined;
      // Time in which the lease could not be read doesn't count as unchanged.
      unchanged = undefined;
      if (!error.transient || clock.now() - answeredAt >= timeouts.kubernetesMs)
        return silentKubernetesFinding(error);
      tell(`the Kubernetes API does not answer: ${error.message}`);
    }
    await clock.sleep(pause(), signal);
  }
}

class HeldLease implements ClusterLock {
  readonly #kubernetes: LockLeases;
  readonly #site: LockSite;
  readonly #renewals: NodeJS.Timeout;
  #version: string;
  #lost = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(kubernetes: LockLeases, version: string, site: LockSite) {
    this.#kubernetes = kubernetes;
    this.#version = version;
    this.#site = site;
    // The next renewal makes up for a failed one: while the API is down, nobody else can take the lock.
    this.#renewals = setInterval(() => void this.#renewLease().catch(() => undefined), renewMs);
    this.#renewals.unref();
  }

  async hold(): Promise<Finding | undefined> {
    const { clock, timeouts, signal } = this.#site;
    const begun = clock.now();
    const pause = backoff(clock, timeouts.pollMs, timeouts.pollMaxMs);
    for (;;) {
      try {
        await this.#renewLease();
        if (!this.#lost) return undefined;
        return {
          code: "cluster-busy",
          problem: "another run has started to work on this cluster",
          hint: "Wait until it has finished, then run `pulumi up` again.",
          mayPass: false,
        };
      } catch (error) {
        if (!(error instanceof KubernetesError)) throw error;
        if (!error.transient || clock.now() - begun >= timeouts.kubernetesMs)
          return silentKubernetesFinding(error);
      }
      await clock.sleep(pause(), signal);
    }
  }

  async end(): Promise<void> {
    clearInterval(this.#renewals);
    // If it can't be released, it expires.
    const release = this.#enqueue(async () => {
      if (!this.#lost) await this.#kubernetes.writeLease(undefined, this.#version);
    }).catch(() => undefined);
    const limit = new AbortController();
    await Promise.race([release, realClock.sleep(500, limit.signal).catch(() => undefined)]);
    limit.abort();
  }

  #renewLease(): Promise<void> {
    return this.#enqueue(async () => {
      if (this.#lost) return;
      const version = await this.#kubernetes.writeLease(ownHolderId, this.#version);
      if (version !== undefined) {
        this.#version = version;
        return;
      }
      // The response to a renewal may have been lost; then the lock is still ours.
      const lease = await this.#kubernetes.readLease();
      if (lease?.holder === ownHolderId) this.#version = lease.version;
      else this.#lost = true;
    });
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#last.then(work, work);
    this.#last = next.catch(() => undefined);
    return next;
  }
}

function silentKubernetesFinding(error: KubernetesError): Finding {
  return {
    code: "kubernetes-unreachable",
    problem: `could not check whether another run is working on this cluster: the Kubernetes API does not answer: ${error.message}`,
    hint: "Check the control planes and the kubeconfig.",
    mayPass: true,
  };
}

/** Identifies a process of this machine by boot ID and process namespace too, since containers share names and PIDs. */
function localHostId(): string {
  const read = (look: () => string): string => {
    try {
      return look().trim();
    } catch {
      return "";
    }
  };
  const parts = [
    hostname(),
    read(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8")),
    read(() => readlinkSync("/proc/self/ns/pid")),
  ];
  return createHash("sha256").update(parts.join(" ")).digest("hex").slice(0, 12);
}

const localHost = localHostId();
const ownHolderId = `${hostname()} ${localHost} ${process.pid} ${randomUUID().slice(0, 8)}`;

/** Held by an earlier lock of this process, or by an ended process of this machine. */
function isHolderGone({ holder }: LockLease): boolean {
  if (holder === ownHolderId) return true;
  const [, place, pid] = holder?.split(" ") ?? [];
  if (place !== localHost) return false;
  try {
    process.kill(Number(pid), 0);
    return Number(pid) === process.pid; // the PID of an ended process
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
