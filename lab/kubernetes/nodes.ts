import {
  CoordinationV1Api,
  CoreV1Api,
  KubeConfig,
  KubernetesObjectApi,
  PatchStrategy,
  setHeaderOptions,
  type V1Node,
  type V1NodeCondition,
} from "@kubernetes/client-node";
import { setTimeout as sleep } from "node:timers/promises";
import type { NodeIdentity } from "../node/machine/runtime.ts";
import { kubeletLabel } from "./commands.ts";
import type { NodeSettings } from "./configuration.ts";
import { ignoreMissing } from "./missing.ts";
import { MirrorPods } from "./mirrorPods.ts";

/** Field manager of the fields below: on Talos, machined sets a node's labels and taints, and the kubelet the rest. */
const fieldManager = "talos";

/** Updates Node objects the way a kubelet and machined do. */
export class NodeRegistry {
  readonly #core: CoreV1Api;
  readonly #objects: KubernetesObjectApi;
  readonly #leases: CoordinationV1Api;
  readonly mirrorPods: MirrorPods;

  constructor(kubeconfig: string) {
    const config = new KubeConfig();
    config.loadFromString(kubeconfig);
    this.#core = config.makeApiClient(CoreV1Api);
    this.#objects = KubernetesObjectApi.makeApiClient(config);
    this.#leases = config.makeApiClient(CoordinationV1Api);
    this.mirrorPods = new MirrorPods(config);
  }

  /** Registers the node if it is new, writes its labels and taints, and reports it as Ready. */
  async up(node: NodeIdentity, settings: NodeSettings): Promise<void> {
    // A lease held by an earlier kwok would keep this one away from the node's pods until it expires.
    await ignoreMissing(
      this.#leases.deleteNamespacedLease({ name: node.name, namespace: "kube-node-lease" }),
    );
    await this.#apply({
      apiVersion: "v1",
      kind: "Node",
      metadata: {
        name: node.name,
        labels: {
          "kubernetes.io/arch": "amd64",
          "kubernetes.io/hostname": node.name,
          "kubernetes.io/os": "linux",
          ...settings.labels,
          [kubeletLabel.key]: kubeletLabel.value,
        },
        annotations: {
          // Every kubelet sets it; without it, the controller manager attaches no volumes to the node (kubernetes pkg/kubelet/kubelet_node_status.go).
          "volumes.kubernetes.io/controller-managed-attach-detach": "true",
          ...settings.annotations,
        },
      },
      spec: { taints: settings.taints.map((taint) => ({ ...taint })) },
    });
    await this.#writeStatus(node, settings, true);
  }

  /** The state after a kubelet's graceful shutdown: the node is NotReady, and so are its pods. */
  async down(node: NodeIdentity, settings: NodeSettings): Promise<void> {
    if ((await this.#read(node.name)) === undefined) return;
    await this.#writeStatus(node, settings, false);
    await this.#objects.patch(
      {
        apiVersion: "v1",
        kind: "Node",
        metadata: { name: node.name, labels: { [kubeletLabel.key]: null } },
      } as unknown as V1Node,
      undefined,
      undefined,
      fieldManager,
      undefined,
      PatchStrategy.MergePatch,
    );
    // Until kwok has noticed, it would start the pods again.
    await sleep(200);
    await this.#stopPods(node.name);
  }

  /** The pods' containers have ended; the pods still belong to the node, and run again when it is back. */
  async #stopPods(nodeName: string): Promise<void> {
    const { items } = await this.#core.listPodForAllNamespaces({
      fieldSelector: `spec.nodeName=${nodeName}`,
    });
    const since = new Date();
    const conditions = ["Ready", "ContainersReady"].map((type) => ({
      type,
      status: "False",
      reason: "ContainersNotReady",
      message: "the node is shutting down",
      lastTransitionTime: since,
    }));
    await Promise.all(
      items
        .filter((pod) => pod.status?.phase === "Running")
        .map(async ({ metadata }) =>
          ignoreMissing(
            this.#core.patchNamespacedPodStatus(
              {
                name: metadata?.name ?? "",
                namespace: metadata?.namespace ?? "",
                body: { status: { conditions } },
              },
              setHeaderOptions("Content-Type", PatchStrategy.StrategicMergePatch),
            ),
          ),
        ),
    );
  }

  async ready(name: string): Promise<boolean> {
    const node = await this.#read(name);
    return node?.status?.conditions?.find((condition) => condition.type === "Ready")?.status === "True";
  }

  async #read(name: string): Promise<V1Node | undefined> {
    return ignoreMissing(this.#core.readNode({ name }));
  }

  async #apply(node: V1Node): Promise<void> {
    await this.#objects.patch(node, undefined, undefined, fieldManager, true, PatchStrategy.ServerSideApply);
  }

  async #writeStatus(node: NodeIdentity, settings: NodeSettings, ready: boolean): Promise<void> {
    const before = (await this.#read(node.name))?.status?.conditions ?? [];
    const conditions = nodeConditions(ready).map((condition) => {
      const old = before.find((entry) => entry.type === condition.type);
      const since = old?.status === condition.status ? old.lastTransitionTime : undefined;
      return { ...condition, lastHeartbeatTime: new Date(), lastTransitionTime: since ?? new Date() };
    });
    await this.#core.patchNodeStatus(
      {
        name: node.name,
        fieldManager: "kubelet",
        body: {
          status: {
            conditions,
            addresses: [
              { type: "InternalIP", address: node.address },
              { type: "Hostname", address: node.name },
            ],
            capacity: capacity,
            allocatable: capacity,
            daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
            nodeInfo: nodeInfo(node, settings),
          },
        },
      },
      setHeaderOptions("Content-Type", PatchStrategy.StrategicMergePatch),
    );
  }
}

const capacity = { cpu: "4", memory: "8Gi", "ephemeral-storage": "100Gi", pods: "110" };

function nodeConditions(ready: boolean): V1NodeCondition[] {
  const fine = (type: string, reason: string, message: string): V1NodeCondition => ({
    type,
    status: "False",
    reason,
    message,
  });
  return [
    fine("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    fine("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    fine("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ready
      ? { type: "Ready", status: "True", reason: "KubeletReady", message: "kubelet is posting ready status" }
      : { type: "Ready", status: "False", reason: "KubeletNotReady", message: "node is shutting down" },
  ];
}

function nodeInfo(
  node: NodeIdentity,
  settings: NodeSettings,
): NonNullable<NonNullable<V1Node["status"]>["nodeInfo"]> {
  return {
    architecture: "amd64",
    bootID: "",
    containerRuntimeVersion: "containerd://2.1.6",
    kernelVersion: "6.18.0-talos",
    kubeProxyVersion: "",
    kubeletVersion: settings.kubeletVersion,
    machineID: "",
    operatingSystem: "linux",
    osImage: `Talos (${node.talosVersion})`,
    systemUUID: "",
  };
}
