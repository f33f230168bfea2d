import { coded } from "../../talos/errorCodes.ts";
import { formatDuration } from "../clock.ts";
import { stepError, throwIfCancelled, type UpgradeContext } from "../context.ts";
import { backoff } from "../timeouts.ts";
import { KubernetesError, type KubernetesClient, type KubernetesPod } from "../kubernetes.ts";
import { Watched } from "../watchedObjects.ts";
import { listFirst } from "./describe.ts";
import type { StorageBefore } from "./storageNote.ts";

/** Step `storage`: waits until the storage the node had before its upgrade is healthy again, on it or wherever its pods went. Earlier problems don't count. */
export async function awaitStorageBack(
  context: UpgradeContext,
  kubernetes: KubernetesClient,
  node: string,
  before: StorageBefore,
): Promise<void> {
  const { clock, timeouts, progress, wanted } = context;
  const timeoutMs = wanted.storageGate.timeoutSeconds * 1000;
  const end = clock.now() + timeoutMs;
  const look = new StorageWatch(context, kubernetes, node, before);
  const pause = backoff(clock, timeouts.pollMs, timeouts.evictMaxMs / 2);
  let problems: string[];
  try {
    for (;;) {
      throwIfCancelled(context);
      try {
        problems = await look.problems();
      } catch (error) {
        if (!(error instanceof KubernetesError) || !error.transient) throw error;
        problems = [`the Kubernetes API does not answer: ${error.message}`];
        look.forget();
      }
      if (problems.length === 0) return;
      const remaining = end - clock.now();
      if (remaining <= 0) break;
      progress.detail(`waiting for storage: ${problems.join("; ")}`);
      await look.change(Math.min(pause(), remaining));
    }
  } finally {
    look.close();
  }
  throw stepError(
    context,
    "storage",
    coded(
      "storage-not-back",
      `storage is not healthy after ${formatDuration(timeoutMs)}: ${listFirst(problems)}`,
    ),
    "The node takes pods; no other node is touched before its storage is healthy. Check the driver's pods and `kubectl describe` of each object above, then run `pulumi up` again. `upgrade.storageGate` sets the limit, or turns this check off.",
  );
}

/** Everything that is checked repeatedly: all of it but the node's driver list is watched. */
class StorageWatch {
  readonly #context: UpgradeContext;
  readonly #kubernetes: KubernetesClient;
  readonly #node: string;
  readonly #before: StorageBefore;
  readonly #own: Watched<KubernetesPod>;
  /** By namespace. */
  readonly #users: ReadonlyMap<string, Watched<KubernetesPod>>;

  constructor(context: UpgradeContext, kubernetes: KubernetesClient, node: string, before: StorageBefore) {
    this.#context = context;
    this.#kubernetes = kubernetes;
    this.#node = node;
    this.#before = before;
    const { wake } = context.storage;
    context.storage.of(node);
    // The node was down: an earlier watch may be half open.
    context.storage.forget();
    this.#own = new Watched(kubernetes.podsOn(node), context, wake);
    const namespaces = new Set(before.claims.map((claim) => claim.split("/")[0] ?? ""));
    this.#users = new Map(
      [...namespaces].map((name) => [name, new Watched(kubernetes.podsIn(name), context, wake)]),
    );
  }

  async problems(): Promise<string[]> {
    return [
      ...(await this.#missingDrivers()),
      ...(await this.#unattachedVolumes()),
      ...(await this.#unusableClaims()),
    ];
  }

  async change(limitMs: number): Promise<void> {
    const { clock, signal, storage } = this.#context;
    await storage.wake.wait(limitMs, clock, signal);
  }

  forget(): void {
    this.#context.storage.forget();
    for (const watched of this.#pods) watched.forget();
  }

  close(): void {
    for (const watched of this.#pods) watched.close();
  }

  get #pods(): Watched<KubernetesPod>[] {
    return [this.#own, ...this.#users.values()];
  }

  /** The kubelet keeps registrations across the reboot, so the driver's pod must be ready too. */
  async #missingDrivers(): Promise<string[]> {
    const { drivers } = this.#before;
    if (drivers.length === 0) return [];
    const registered = await this.#kubernetes.storage.driversOn(this.#node);
    const missing = drivers.filter((driver) => !registered.includes(driver));
    if (missing.length > 0)
      return missing.map((driver) => `CSI driver ${driver} is not registered on the node`);
    const pods = (await this.#own.objects()).filter(
      (pod) => pod.registersDriver && !pod.ready && !pod.finished,
    );
    return pods.map((pod) => `the driver's pod ${describePod(pod)} is not ready`);
  }

  async #unattachedVolumes(): Promise<string[]> {
    const { volumes, broken } = this.#before;
    const concerned = (await this.#context.storage.attachments()).filter(
      ({ node, volume }) => node === this.#node || volumes.includes(volume),
    );
    return concerned.flatMap(({ name, node, volume, attached, error }) => {
      if (broken.includes(volume || name)) return [];
      if (error !== "") return [`volume ${volume || name} on ${node}: ${error}`];
      return attached ? [] : [`volume ${volume || name} is not attached to ${node} yet`];
    });
  }

  async #unusableClaims(): Promise<string[]> {
    const pods = (await Promise.all([...this.#users.values()].map((watched) => watched.objects()))).flat();
    return this.#before.claims.flatMap((claim) => {
      const users = pods.filter(({ claims, finished }) => !finished && claims.includes(claim));
      // Nothing uses it any more: its owner was scaled down or deleted.
      if (users.length === 0 || users.some(({ running }) => running)) return [];
      return users
        .slice(0, 1)
        .map((pod) => `pod ${describePod(pod)} with claim ${claim} is not running again`);
    });
  }
}

function describePod({ namespace, name, reason }: KubernetesPod): string {
  return `${namespace}/${name}${reason === "" ? "" : ` (${reason})`}`;
}
