import { setTimeout as sleep } from "node:timers/promises";
import { ApiException, CoreV1Api, KubeConfig, PolicyV1Api } from "@kubernetes/client-node";
import type { KubernetesRuntime } from "./kubernetes/runtime.ts";
import type { FaultDefinition } from "./node/machine/faults.ts";

/** Faults of the cluster's Kubernetes rather than of a machine; each is set on the node it should affect. */
export const clusterFaultCatalogue = [
  {
    id: "pdb-blocks",
    does: "a pod on the node may not be evicted: its PodDisruptionBudget allows no disruption",
  },
  { id: "kubernetes-api-down", does: "nobody answers at the cluster's Kubernetes endpoint, for any node" },
  {
    id: "kubernetes-api-down-in-drain",
    does: "nobody answers at the cluster's Kubernetes endpoint from the moment at which the node is cordoned",
  },
] as const satisfies readonly FaultDefinition[];

export type ClusterFaultId = (typeof clusterFaultCatalogue)[number]["id"];

export function isClusterFaultId(id: string): id is ClusterFaultId {
  return clusterFaultCatalogue.some((fault) => fault.id === id);
}

const namespace = "default";
const label = "talos-iscsi-lab/fault";

/** The active faults of the cluster. */
export class ClusterFaults {
  readonly #kubernetes: KubernetesRuntime;
  /** By node, then fault; aborting stops what a fault left running. */
  readonly #active = new Map<string, Map<ClusterFaultId, AbortController>>();

  constructor(kubernetes: KubernetesRuntime) {
    this.#kubernetes = kubernetes;
  }

  active(node: string): ClusterFaultId[] {
    return [...(this.#active.get(node)?.keys() ?? [])];
  }

  async set(node: string, id: ClusterFaultId): Promise<void> {
    if (this.active(node).includes(id)) return;
    const lifted = new AbortController();
    if (id !== "kubernetes-api-down") await this.#protectPod(node);
    this.#active.set(
      node,
      (this.#active.get(node) ?? new Map<ClusterFaultId, AbortController>()).set(id, lifted),
    );
    if (id === "kubernetes-api-down") await this.#kubernetes.closeEndpoint(true);
    if (id === "kubernetes-api-down-in-drain") void this.#closeWhenCordoned(node, lifted.signal);
  }

  /** Lifts one fault of the node, or all of them. */
  async lift(node: string, id?: ClusterFaultId): Promise<void> {
    const active = this.#active.get(node);
    for (const each of id === undefined ? this.active(node) : [id]) {
      active?.get(each)?.abort();
      active?.delete(each);
    }
    const closed = [...this.#active.values()].some(
      (faults) => faults.has("kubernetes-api-down") || faults.has("kubernetes-api-down-in-drain"),
    );
    if (!closed) await this.#kubernetes.closeEndpoint(false);
    const protects =
      active?.has("pdb-blocks") === true || active?.has("kubernetes-api-down-in-drain") === true;
    if (!protects && !closed) await this.#releasePod(node);
  }

  /** A bare pod on this node, and a budget of exactly one such pod. */
  async #protectPod(node: string): Promise<void> {
    const { core, policy } = this.#clients();
    const name = podName(node);
    const labels = { [label]: name };
    await unlessThere(
      policy.createNamespacedPodDisruptionBudget({
        namespace,
        body: { metadata: { name }, spec: { minAvailable: 1, selector: { matchLabels: labels } } },
      }),
    );
    await unlessThere(
      core.createNamespacedPod({
        namespace,
        body: {
          metadata: { name, labels },
          spec: {
            nodeName: node,
            tolerations: [{ operator: "Exists" }],
            containers: [{ name: "pause", image: "registry.k8s.io/pause:3.10" }],
          },
        },
      }),
    );
    // The budget protects nothing until its controller has counted the pod.
    await this.#until(async () => {
      const { status } = await policy.readNamespacedPodDisruptionBudget({ namespace, name });
      return status?.currentHealthy === 1 && status.disruptionsAllowed === 0;
    }, `the PodDisruptionBudget ${name} does not see its pod`);
  }

  async #releasePod(node: string): Promise<void> {
    const { core, policy } = this.#clients();
    const name = podName(node);
    await unlessThere(policy.deleteNamespacedPodDisruptionBudget({ namespace, name }));
    await unlessThere(core.deleteNamespacedPod({ namespace, name, gracePeriodSeconds: 0 }));
  }

  async #closeWhenCordoned(node: string, lifted: AbortSignal): Promise<void> {
    const { core } = this.#clients();
    while (!lifted.aborted) {
      const cordoned = await core.readNode({ name: node }).then(
        ({ spec }) => spec?.unschedulable === true,
        () => false, // the API may be down for other reasons
      );
      if (cordoned && !lifted.aborted) return this.#kubernetes.closeEndpoint(true);
      await sleep(20);
    }
  }

  async #until(done: () => Promise<boolean>, otherwise: string): Promise<void> {
    for (const limit = Date.now() + 20_000; Date.now() < limit; await sleep(50)) if (await done()) return;
    throw new Error(otherwise);
  }

  #clients(): { core: CoreV1Api; policy: PolicyV1Api } {
    const config = new KubeConfig();
    config.loadFromString(this.#kubernetes.adminKubeconfig());
    return { core: config.makeApiClient(CoreV1Api), policy: config.makeApiClient(PolicyV1Api) };
  }
}

function podName(node: string): string {
  return `may-not-leave-${node}`;
}

/** Already created, or already gone. */
async function unlessThere(work: Promise<unknown>): Promise<void> {
  await work.catch((error: unknown) => {
    if (!(error instanceof ApiException) || (error.code !== 409 && error.code !== 404)) throw error;
  });
}
