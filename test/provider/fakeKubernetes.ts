import {
  KubernetesError,
  type Eviction,
  type KubernetesClient,
  type KubernetesNode,
  type KubernetesPod,
  type NodeRemover,
} from "../../provider/kubernetes.ts";

/** A cluster's Kubernetes in memory: nodes, pods, and what tests make go wrong with them. */
export class FakeKubernetes implements KubernetesClient, NodeRemover {
  readonly cluster = new Map<string, KubernetesNode>();
  pods: (KubernetesPod & { node: string })[] = [];
  gitVersion = "v1.35.4";
  /** Not undefined: nothing answers. */
  down: string | undefined;
  /** Pods that a budget protects, and what it says. */
  readonly blocked = new Map<string, string>();
  /** Every write, in words. */
  readonly log: string[] = [];

  add(name: string, address: string, change: Partial<KubernetesNode> = {}): this {
    this.cluster.set(name, {
      name,
      unschedulable: false,
      ready: true,
      reason: "",
      bootId: "",
      annotations: {},
      addresses: [address],
      ...change,
    });
    return this;
  }

  pod(node: string, name: string, change: Partial<KubernetesPod> = {}): this {
    this.pods.push({
      node,
      name,
      namespace: "default",
      uid: `uid-${name}`,
      owner: "ReplicaSet",
      mirror: false,
      finished: false,
      ...change,
    });
    return this;
  }

  get(name: string): KubernetesNode {
    const node = this.cluster.get(name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }

  async version(): Promise<string> {
    this.#answer();
    return this.gitVersion;
  }

  async nodes(): Promise<KubernetesNode[]> {
    this.#answer();
    return structuredClone([...this.cluster.values()]);
  }

  async node(name: string): Promise<KubernetesNode | undefined> {
    this.#answer();
    return structuredClone(this.cluster.get(name));
  }

  async patchNode(
    name: string,
    change: { unschedulable?: boolean; annotations: Record<string, string | null> },
  ): Promise<void> {
    this.#answer();
    const node = this.get(name);
    if (change.unschedulable !== undefined) {
      node.unschedulable = change.unschedulable;
      this.log.push(`${change.unschedulable ? "cordon" : "uncordon"} ${name}`);
    }
    const merged = Object.entries({ ...node.annotations, ...change.annotations });
    node.annotations = Object.fromEntries(
      merged.flatMap(([key, value]) => (value === null ? [] : [[key, value]])),
    );
  }

  async deleteNode(name: string): Promise<void> {
    this.#answer();
    if (this.cluster.delete(name)) this.log.push(`delete ${name}`);
  }

  async podsOn(node: string): Promise<KubernetesPod[]> {
    this.#answer();
    return this.pods.filter((pod) => pod.node === node);
  }

  async evict(pod: KubernetesPod): Promise<Eviction> {
    this.#answer();
    const reason = this.blocked.get(pod.name);
    if (reason !== undefined) return { outcome: "blocked", reason };
    this.log.push(`evict ${pod.name}`);
    this.pods = this.pods.filter(({ uid }) => uid !== pod.uid);
    return { outcome: "accepted" };
  }

  #answer(): void {
    if (this.down !== undefined) throw new KubernetesError(this.down);
  }
}
