import type { Clock } from "../../clock.ts";
import { backoff } from "../../timeouts.ts";
import { Cancelled } from "../../errors.ts";
import { KubernetesError } from "../../kubernetes.ts";
import type { ProbeCluster } from "./cluster.ts";

/** How often a probe shows that it is at work. */
const heartbeatMs = 15_000;
/** A probe that has not done so for this long is gone. */
const abandonedAfterMs = 60_000;

/**
 * Removes a probe's namespace with all that is in it: the cluster ends its pods, and the driver detaches and deletes their volumes. It is asked for once, so what
 * is left when the time is over still goes.
 * @returns what is left; empty where nothing is
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

/** Shows others that the probe is at work, until it is stopped. */
export function startHeartbeat(
  cluster: ProbeCluster,
  namespace: string,
  clock: Clock,
): { stop(): Promise<void> } {
  const end = new AbortController();
  const beats = (async () => {
    for (let count = 1; ; count += 1) {
      await clock.sleep(heartbeatMs, end.signal);
      // One that is missed is made up for by the next.
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

/** Namespaces of other probes, which may be at work or have been killed. What counts is how long this process has seen no beat of them. */
export class Leftovers {
  readonly #cluster: ProbeCluster;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #seen = new Map<string, { version: string; since: number }>();

  constructor(cluster: ProbeCluster, clock: Clock, signal: AbortSignal) {
    this.#cluster = cluster;
    this.#clock = clock;
    this.#signal = signal;
  }

  /** Before this probe has a namespace of its own. */
  async look(): Promise<void> {
    for (const { name, version, deleting } of await this.#cluster.probeNamespaces())
      if (!deleting) this.#seen.set(name, { version, since: this.#clock.now() });
  }

  /** @returns the namespaces that were removed; one of a probe that is at work is left alone */
  async remove(limitMs: number): Promise<string[]> {
    const removed: string[] = [];
    for (const [name, { version, since }] of this.#seen) {
      if (!(await this.#isGone(name, version, since))) continue;
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
