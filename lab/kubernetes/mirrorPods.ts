import {
  CoreV1Api,
  type KubeConfig,
  PatchStrategy,
  setHeaderOptions,
  type V1Pod,
} from "@kubernetes/client-node";
import type { NodeIdentity, RunningStaticPod } from "../node/machine/runtime.ts";
import { ignoreMissing } from "./missing.ts";

const namespace = "kube-system";
const configVersion = "talos.dev/config-version";

/** Does what a kubelet does for its static pods in the API: creates a mirror pod for each, and replaces it when the manifest changes. */
export class MirrorPods {
  readonly #core: CoreV1Api;

  constructor(config: KubeConfig) {
    this.#core = config.makeApiClient(CoreV1Api);
  }

  async report(node: NodeIdentity, pods: readonly RunningStaticPod[]): Promise<void> {
    const uid = (await ignoreMissing(this.#core.readNode({ name: node.name })))?.metadata?.uid;
    if (uid === undefined) return;
    await Promise.all(pods.map((pod) => this.#mirror(node, uid, pod)));
  }

  /** Names of the nodes whose mirror pods something else has changed or deleted. */
  async findChanged(
    nodes: readonly { identity: NodeIdentity; staticPods: readonly RunningStaticPod[] }[],
  ): Promise<string[]> {
    const { items } = await this.#core.listNamespacedPod({ namespace, labelSelector: "tier=control-plane" });
    const mirrors = new Map(items.map((pod) => [pod.metadata?.name, pod]));
    return nodes
      .filter(({ identity, staticPods }) =>
        staticPods.some((pod) => {
          const mirror = mirrors.get(`${pod.name}-${identity.name}`);
          return mirror === undefined || isReady(mirror) !== pod.ready;
        }),
      )
      .map(({ identity }) => identity.name);
  }

  async #mirror(node: NodeIdentity, nodeUid: string, pod: RunningStaticPod): Promise<void> {
    const name = `${pod.name}-${node.name}`;
    const before = await ignoreMissing(this.#core.readNamespacedPod({ name, namespace }));
    const wanted = mirrorOf(node, nodeUid, pod);
    if (before === undefined || !isOf(before, wanted)) {
      if (before !== undefined)
        await ignoreMissing(this.#core.deleteNamespacedPod({ name, namespace, gracePeriodSeconds: 0 }));
      await this.#core.createNamespacedPod({ namespace, body: wanted });
    }
    await this.#core.patchNamespacedPodStatus(
      { name, namespace, body: { status: statusOf(node, pod) } },
      setHeaderOptions("Content-Type", PatchStrategy.StrategicMergePatch),
    );
  }
}

function isOf({ metadata, spec }: V1Pod, wanted: V1Pod): boolean {
  return (
    metadata?.annotations?.[configVersion] === wanted.metadata?.annotations?.[configVersion] &&
    spec?.containers[0]?.image === wanted.spec?.containers[0]?.image
  );
}

function isReady({ status }: V1Pod): boolean {
  return status?.conditions?.find(({ type }) => type === "Ready")?.status === "True";
}

function mirrorOf(node: NodeIdentity, uid: string, pod: RunningStaticPod): V1Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `${pod.name}-${node.name}`,
      namespace,
      labels: { tier: "control-plane", "k8s-app": pod.name, component: pod.name },
      annotations: {
        [configVersion]: pod.configVersion,
        "kubernetes.io/config.source": "file",
        "kubernetes.io/config.mirror": `${pod.name}-${pod.configVersion}`,
      },
      ownerReferences: [{ apiVersion: "v1", kind: "Node", name: node.name, uid, controller: true }],
    },
    spec: {
      nodeName: node.name,
      hostNetwork: true,
      priorityClassName: "system-cluster-critical",
      tolerations: [{ operator: "Exists", effect: "NoExecute" }],
      containers: [{ name: pod.name, image: pod.image, command: pod.command }],
    },
  };
}

function statusOf(node: NodeIdentity, pod: RunningStaticPod): object {
  const { name, image, ready, startTime, startedAt } = pod;
  const status = ready ? "True" : "False";
  return {
    phase: "Running",
    hostIP: node.address,
    hostIPs: [{ ip: node.address }],
    podIP: node.address,
    podIPs: [{ ip: node.address }],
    startTime,
    conditions: ["Ready", "ContainersReady"].map((type) => ({ type, status, lastTransitionTime: startedAt })),
    containerStatuses: [
      {
        name,
        image,
        imageID: image,
        ready,
        started: true,
        restartCount: 0,
        state: { running: { startedAt } },
      },
    ],
  };
}
