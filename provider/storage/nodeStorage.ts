import type { NodeUpgradeInputs } from "../../talos/inputs/nodeUpgrade.ts";
import { TalosError } from "../../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../../talos/api/talosClient.ts";
import type { Clock } from "../clock.ts";
import type { Timeouts } from "../timeouts.ts";
import type { Finding } from "../guards/finding.ts";
import { KubernetesError, type KubernetesClient, type KubernetesNode } from "../kubernetes.ts";
import { WakeSignal, Watched } from "../watchedObjects.ts";
import { describeLeft, listFirst, type LeftOnNode } from "./describe.ts";
import type { Attachment } from "./reader.ts";
import { readIscsiSessions, readSessionIds } from "./sessions.ts";

/** The node whose storage it is, and its clients. */
interface StorageSite {
  readonly wanted: Pick<NodeUpgradeInputs, "node" | "drain">;
  readonly talos: TalosReader;
  readonly kubernetes: () => Promise<KubernetesClient | undefined>;
  readonly findNode: (nodes: KubernetesNode[], name: string | undefined) => KubernetesNode | undefined;
  readonly clock: Clock;
  readonly timeouts: Timeouts;
  readonly signal: AbortSignal;
}

/** What is still on the node, without the data only a description needs. */
interface StorageCount {
  attachments: Attachment[];
  inUse: string[];
  /** IDs of the node's sessions; empty while volumes are attached, which can't detach before their sessions end. */
  sessions: string[];
}

/**
 * The volumes of one node, as one operation sees them. The attachments are listed once and then watched, so waiting for them and checking again before the
 * reboot costs nothing.
 */
export class NodeStorage {
  /** Signaled when an attachment changes. */
  readonly wake = new WakeSignal();
  readonly #site: StorageSite;
  #watched: Watched<Attachment> | undefined;
  #node: string | undefined;
  #accepted = false;
  #client: KubernetesClient | undefined;

  constructor(site: StorageSite) {
    this.#site = site;
  }

  /** Sets the node's Kubernetes name once it is known. */
  of(node: string): void {
    this.#node = node;
  }

  /** The node is not drained, and goes down with its volumes. */
  accept(): void {
    this.#accepted = true;
  }

  /**
   * What is on the node now. Throws a KubernetesError or a TalosError if that is unknown.
   * @param decides if the watch has ended, list the attachments at once instead of later
   */
  async count(decides = false): Promise<StorageCount> {
    const { kubernetes, name } = await this.#ask();
    const attachments = await this.#attachments(kubernetes, name, decides);
    if (attachments.length > 0) return { attachments, inUse: [], sessions: [] };
    const inUse = (await kubernetes?.node(name))?.volumesInUse ?? [];
    return { attachments, inUse, sessions: inUse.length > 0 ? [] : await this.#sessions() };
  }

  /** Every attachment of the cluster right now. */
  async attachments(): Promise<Attachment[]> {
    const { kubernetes } = await this.#ask();
    return kubernetes === undefined ? [] : this.#all(kubernetes, true);
  }

  /** The same with the sessions and their targets, for messages. */
  async left(): Promise<LeftOnNode> {
    const { kubernetes, name } = await this.#ask();
    const [attachments, node, sessions] = await Promise.all([
      this.#attachments(kubernetes, name, true),
      kubernetes?.node(name),
      readIscsiSessions(this.#site.talos, this.#call()),
    ]);
    const driverOf = (volume: string): string | undefined =>
      /^kubernetes\.io\/csi\/([^^]+)\^/.exec(volume)?.[1];
    // Volumes with an attachment are reported as such: the unique name contains the driver and the handle.
    const inUse = (node?.volumesInUse ?? []).filter(
      (volume) => !attachments.some(({ driver }) => driver === driverOf(volume)),
    );
    return { attachments, inUse, sessions };
  }

  /** The same as text, one entry each; empty if nothing is left. */
  async describe(): Promise<string[]> {
    const left = await this.left();
    if (left.attachments.length === 0) return describeLeft(left, []);
    const { kubernetes, name } = await this.#ask();
    const [volumes = [], on] = await Promise.all([
      kubernetes?.storage.volumes(),
      kubernetes?.podsOn(name).list(),
    ]);
    return describeLeft(left, volumes, on?.objects);
  }

  /** What blocks taking the node down now. For the gate. */
  async findings(): Promise<Finding[]> {
    const { drain } = this.#site.wanted;
    if (!drain.enabled || this.#accepted) return [];
    const hint =
      "The node was not taken down. Check `kubectl get volumeattachments` and the driver's pods, then run `pulumi up` again.";
    try {
      const { attachments, inUse, sessions } = await this.count(true);
      const leaked = drain.leftoverSessions === "warn" ? [] : sessions;
      if (attachments.length + inUse.length + leaked.length === 0) return [];
      const problem = `volumes are still on the node: ${listFirst(await this.describe())}`;
      return [{ code: "volumes-attached", problem, hint, mayPass: true }];
    } catch (error) {
      if (!(error instanceof KubernetesError) && !(error instanceof TalosError)) throw error;
      if (error instanceof TalosError && error.kind === "cancelled") throw error;
      const problem = `could not check whether volumes are still on the node: ${error.message}`;
      return [{ code: "volumes-unknown", problem, hint, mayPass: true, recovers: true }];
    }
  }

  /** Waits until an attachment changes, up to the limit. */
  async change(limitMs: number): Promise<void> {
    const { clock, signal } = this.#site;
    await (this.#watched?.change(limitMs, signal) ?? clock.sleep(limitMs, signal));
  }

  /** Discards cached state, which may be stale. */
  forget(): void {
    this.#watched?.forget();
  }

  close(): void {
    this.#watched?.close();
  }

  async #ask(): Promise<{ kubernetes: KubernetesClient | undefined; name: string }> {
    const { kubernetes: connect, talos, findNode } = this.#site;
    this.#client ??= await connect();
    if (this.#client !== undefined && this.#node === undefined) {
      const nodes = await this.#client.nodes();
      this.#node = findNode(nodes, await talos.kubernetesNode(this.#call()))?.name;
      if (this.#node === undefined) throw new KubernetesError("it does not know this node", 404);
    }
    return { kubernetes: this.#client, name: this.#node ?? "" };
  }

  async #attachments(
    kubernetes: KubernetesClient | undefined,
    name: string,
    decides: boolean,
  ): Promise<Attachment[]> {
    if (kubernetes === undefined) return [];
    return (await this.#all(kubernetes, decides)).filter(({ node }) => node === name);
  }

  async #all(kubernetes: KubernetesClient, decides: boolean): Promise<Attachment[]> {
    this.#watched ??= new Watched(kubernetes.storage.attachments, this.#site, this.wake);
    return decides ? this.#watched.objectsNow() : this.#watched.objects();
  }

  async #sessions(): Promise<string[]> {
    return readSessionIds(this.#site.talos, this.#call());
  }

  #call(): CallOptions {
    const { timeouts, signal } = this.#site;
    return { deadlineMs: timeouts.probeMs * 2, signal };
  }
}
