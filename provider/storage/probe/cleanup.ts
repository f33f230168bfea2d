import type { Clock } from "../../clock.ts";
import { backoff } from "../../timeouts.ts";
import { Cancelled } from "../../errors.ts";
import { KubernetesError } from "../../kubernetes.ts";
import type { ProbeCluster } from "./cluster.ts";

/** How often a probe signals that it is running. */
const heartbeatMs = 15_000;
/** A probe without a signal for this long is gone. */
const abandonedAfterMs = 60_000;

/**
 * Removes a probe's namespace with its contents: the cluster ends its pods, and the driver detaches and deletes their volumes. The deletion is requested once
 * and continues after the time limit.
 * @returns what is left; empty if nothing is
 */
export async function removeNamespace(
  cluster: ProbeCluster,
  namespace: string,
  { clock, signal, limitMs }: { clock: Clock; signal: AbortSignal; limitMs: number },
): Promise<string[]> {
  const end = clock.now() + limitMs;
  const pause = backoff(clock, 250, 2_000);
  for (;;) {
    const left = await listRemains(cluster, namespace);
    if (left.length === 0 || clock.now() >= end || signal.aborted) return left;
    await clock.sleep(Math.min(pause(), Math.max(1, end - clock.now())), signal);
  }
}

async function listRemains(cluster: ProbeCluster, namespace: string): Promise<string[]> {
  const kept = (error: unknown): string[] => {
    if (!(error instanceof KubernetesError)) throw error;
    return [`namespace ${namespace}: ${error.message}`];
  };
  try {
    const volumes = await cluster.volumes(namespace);
    for (const { name } of volumes) await cluster.deleteWithClaim(name);
    const own = (await cluster.probeNamespaces()).find(({ name }) => name === namespace);
    if (own !== undefined && !own.deleting) await cluster.deleteNamespace(namespace);
    return [
      ...(own === undefined ? [] : [`namespace ${namespace}`]),
      ...volumes.map(({ name, state }) => `volume ${name} (${state})`),
    ];
  } catch (error) {
    return kept(error);
  }
}

/** Signals to others that the probe is running, until it is stopped. */
export function startHeartbeat(
  cluster: ProbeCluster,
  namespace: string,
  clock: Clock,
): { stop(): Promise<void> } {
  const end = new AbortController();
  const beats = (async () => {
    for (let count = 1; ; count += 1) {
      await clock.sleep(heartbeatMs, end.signal);
      // The next one makes up for a missed one.
      await cluster.beat(namespace, count).catch(ignoreRefusal);
    }
  })().catch((error: unknown) => {
    if (!(error instanceof Cancelled)) throw error;
  });
  return {
    stop: async () => {
      end.abort();
      await beats;
    },
  };
}

/** Namespaces of other probes, running or killed. Only the time this process has seen no heartbeat counts. */
export class Leftovers {
  readonly #cluster: ProbeCluster;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #seen = new Map<string, { version: string; since: number }>();
  /** Only volumes are left: the provisioner finishes what it began, even if the claim is gone by then, and a class with Retain keeps them. */
  readonly #late = new Set<string>();

  constructor(cluster: ProbeCluster, clock: Clock, signal: AbortSignal) {
    this.#cluster = cluster;
    this.#clock = clock;
    this.#signal = signal;
  }

  /** Called before this probe has its own namespace. */
  async look(): Promise<void> {
    const released = await this.#cluster.namespacesOfReleased();
    const there = await this.#cluster.probeNamespaces();
    for (const { name, version, deleting } of there)
      if (!deleting) this.#seen.set(name, { version, since: this.#clock.now() });
    for (const name of released) if (!there.some((one) => one.name === name)) this.#late.add(name);
  }

  /** @returns the removed namespaces; a running probe's is left alone */
  async remove(limitMs: number): Promise<string[]> {
    const removed: string[] = [];
    const gone = [...this.#late];
    for (const [name, { version, since }] of this.#seen)
      if (await this.#isGone(name, version, since)) gone.push(name);
    for (const name of gone) {
      const site = { clock: this.#clock, signal: this.#signal, limitMs };
      const left = await removeNamespace(this.#cluster, name, site);
      removed.push(left.length === 0 ? name : `${name} (still there: ${left.join(", ")})`);
    }
    return removed;
  }

  async #isGone(name: string, version: string, since: number): Promise<boolean> {
    for (;;) {
      const now = (await this.#cluster.probeNamespaces()).find((one) => one.name === name);
      if (now === undefined || now.deleting || now.version !== version) return false;
      const left = since + abandonedAfterMs - this.#clock.now();
      if (left <= 0) return true;
      await this.#clock.sleep(Math.min(left, heartbeatMs / 3), this.#signal);
    }
  }
}

function ignoreRefusal(error: unknown): void {
  if (!(error instanceof KubernetesError)) throw error;
}
