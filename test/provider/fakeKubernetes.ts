import {
  KubernetesError,
  type DeprecatedApi,
  type Eviction,
  type KubernetesClient,
  type KubernetesNode,
  type KubernetesPod,
  type Manifest,
  type NodeRemover,
  type ObjectSelection,
  type LockLease,
} from "../../provider/kubernetes.ts";
import type { WatchSource } from "../../provider/watchedObjects.ts";
import { FakeObjects, FakeStorage } from "./fakeStorage.ts";

type FakePod = KubernetesPod & { node: string };

const aliveAndWell = { running: true, ready: true, reason: "", registersDriver: false };

/** An in-memory Kubernetes cluster: nodes, pods, and the failures that tests inject. */
export class FakeKubernetes implements KubernetesClient, NodeRemover {
  readonly cluster = new Map<string, KubernetesNode>();
  readonly #pods = new FakeObjects<FakePod>();
  readonly storage = new FakeStorage((method) =>
    method.startsWith("watch") ? this.#count(method) : this.#answer(method),
  );
  /** Calls by method. */
  readonly calls = new Map<string, number>();
  gitVersion = "v1.35.4";
  /** If set, nothing answers, and this is the error. */
  down: string | undefined;
  /** Pods that a budget protects, with the budget's message. */
  readonly blocked = new Map<string, string>();
  /** Every write, as text. */
  readonly log: string[] = [];
  /** Called before each answer; may throw. */
  before: (method: string) => void = () => undefined;
  /** Called after each write. */
  after: (entry: string) => void = () => undefined;

  add(name: string, address: string, change: Partial<KubernetesNode> = {}): this {
    this.cluster.set(name, {
      name,
      unschedulable: false,
      ready: true,
      reason: "",
      bootId: "",
      annotations: {},
      addresses: [address],
      volumesInUse: [],
      ...change,
    });
    return this;
  }

  pod(node: string, name: string, change: Partial<KubernetesPod> = {}): this {
    const plain = { owner: "ReplicaSet", mirror: false, finished: false, claims: [], ...aliveAndWell };
    this.pods = [...this.pods, { node, name, namespace: "default", uid: `uid-${name}`, ...plain, ...change }];
    return this;
  }

  get(name: string): KubernetesNode {
    const node = this.cluster.get(name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }

  async version(): Promise<string> {
    this.#answer("version");
    return this.gitVersion;
  }

  async nodes(): Promise<KubernetesNode[]> {
    this.#answer("nodes");
    return structuredClone([...this.cluster.values()]);
  }

  async node(name: string): Promise<KubernetesNode | undefined> {
    this.#answer("node");
    return structuredClone(this.cluster.get(name));
  }

  async patchNode(
    name: string,
    change: { unschedulable?: boolean; annotations: Record<string, string | null> },
  ): Promise<void> {
    this.#answer("patchNode");
    const node = this.get(name);
    if (change.unschedulable !== undefined) {
      node.unschedulable = change.unschedulable;
      this.#write(`${change.unschedulable ? "cordon" : "uncordon"} ${name}`);
    }
    const merged = Object.entries({ ...node.annotations, ...change.annotations });
    node.annotations = Object.fromEntries(
      merged.flatMap(([key, value]) => (value === null ? [] : [[key, value]])),
    );
  }

  async deleteNode(name: string): Promise<void> {
    this.#answer("deleteNode");
    if (this.cluster.delete(name)) this.#write(`delete ${name}`);
  }

  /** Who holds the cluster lock. */
  lease: LockLease | undefined;

  async readLease(): Promise<LockLease | undefined> {
    this.#answer("readLease");
    return structuredClone(this.lease);
  }

  async writeLease(holder: string | undefined, version: string | undefined): Promise<string | undefined> {
    this.#answer("writeLease");
    if (version !== this.lease?.version) return undefined;
    this.lease = { holder, version: String(Number(version ?? 0) + 1) };
    return this.lease.version;
  }

  get pods(): FakePod[] {
    return this.#pods.all;
  }

  set pods(pods: FakePod[]) {
    this.#pods.all = pods;
  }

  podsOn(node: string): WatchSource<KubernetesPod> {
    return this.#pods.source(
      (pod) => pod.node === node,
      (what) => (what === "list" ? this.#answer("podsOn") : this.#count("watchPods")),
    );
  }

  podsIn(namespace: string): WatchSource<KubernetesPod> {
    return this.#pods.source(
      (pod) => pod.namespace === namespace,
      (what) => (what === "list" ? this.#answer("podsIn") : this.#count("watchPods")),
    );
  }

  async deletePod(pod: KubernetesPod): Promise<void> {
    this.#answer("deletePod");
    this.pods = this.pods.filter(({ uid }) => uid !== pod.uid);
    this.#write(`delete pod ${pod.name}`);
  }

  async evict(pod: KubernetesPod): Promise<Eviction> {
    this.#answer("evict");
    const reason = this.blocked.get(pod.name);
    if (reason !== undefined) return { outcome: "blocked", reason };
    this.#write(`evict ${pod.name}`);
    this.pods = this.pods.filter(({ uid }) => uid !== pod.uid);
    return { outcome: "accepted" };
  }

  /** Deprecated API requests in the API server's metrics. */
  deprecated: DeprecatedApi[] = [];

  async deprecatedApis(): Promise<DeprecatedApi[]> {
    this.#answer("deprecatedApis");
    return structuredClone(this.deprecated);
  }

  /** What the field manager `talos` has applied, by kind, namespace and name. */
  readonly applied = new Map<string, Manifest>();
  /** The API server's reason for refusing an object, by the same key. */
  readonly refused = new Map<string, KubernetesError>();

  async liveManifest(manifest: Manifest): Promise<Manifest | undefined> {
    this.#answer("liveManifest");
    const live = (this.others.get(manifest.kind) ?? []).find(
      (one) => keyOf({ kind: manifest.kind, ...one }) === keyOf(manifest),
    );
    return live === undefined ? undefined : { ...structuredClone(live), ...typeOf(manifest) };
  }

  async tryManifest(manifest: Manifest): Promise<Manifest> {
    this.#answer("tryManifest");
    const refusal = this.refused.get(keyOf(manifest));
    if (refusal !== undefined) throw refusal;
    const live = (this.others.get(manifest.kind) ?? []).find(
      (one) => keyOf({ kind: manifest.kind, ...one }) === keyOf(manifest),
    );
    return serverSideApply(live ?? {}, this.applied.get(keyOf(manifest)) ?? {}, manifest) as Manifest;
  }

  async applyManifest(manifest: Manifest): Promise<void> {
    this.#answer("applyManifest");
    const { kind, metadata } = manifest;
    const now = await this.tryManifest(manifest);
    this.applied.set(keyOf(manifest), structuredClone(manifest));
    const others = (this.others.get(kind) ?? []).filter(
      (other) => keyOf({ kind, ...other }) !== keyOf(manifest),
    );
    this.others.set(kind, [...others, now]);
    this.#write(`apply ${kind} ${metadata.name}`);
  }

  /** Objects of other kinds, by kind. */
  readonly others = new Map<string, { metadata: { name: string; namespace?: string } }[]>();

  async objects({ apiVersion, kind, name }: ObjectSelection): Promise<object[]> {
    this.#answer("objects");
    const all = this.others.get(kind);
    if (all === undefined) throw new KubernetesError(`the cluster has no kind ${kind} in ${apiVersion}`, 404);
    return structuredClone(all.filter(({ metadata }) => name === undefined || metadata.name === name));
  }

  #write(entry: string): void {
    this.log.push(entry);
    this.after(entry);
  }

  #count(method: string): void {
    this.calls.set(method, (this.calls.get(method) ?? 0) + 1);
  }

  #answer(method: string): void {
    this.#count(method);
    this.before(method);
    if (this.down !== undefined) throw new KubernetesError(this.down);
  }
}

function typeOf({ apiVersion, kind }: Manifest): Pick<Manifest, "apiVersion" | "kind"> {
  return { apiVersion, kind };
}

/** Server-side apply: fields that the manager applied before and now omits are removed unless another manager owns them. Lists are one value. */
function serverSideApply(live: object, before: object, now: object): object {
  const result: Record<string, unknown> = { ...structuredClone(live) };
  for (const key of Object.keys(before)) if (!(key in now)) delete result[key];
  for (const [key, value] of Object.entries(now) as [string, unknown][]) {
    const [old, was] = [result[key], (before as Record<string, unknown>)[key]];
    result[key] = isMap(value)
      ? serverSideApply(isMap(old) ? old : {}, isMap(was) ? was : {}, value)
      : structuredClone(value);
  }
  return result;
}

function isMap(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function keyOf({
  kind,
  metadata,
}: Pick<Manifest, "kind"> & { metadata: { name: string; namespace?: string } }): string {
  return `${kind} ${metadata.namespace ?? ""}/${metadata.name}`;
}
