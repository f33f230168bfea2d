import type {
  AppsV1Api,
  ConfigurationOptions,
  CoreV1Api,
  CoreV1Event,
  ObservableMiddleware,
  StorageV1Api,
  V1DaemonSet,
  V1PersistentVolume,
  V1Pod,
} from "@kubernetes/client-node";
import { KubernetesError } from "../../kubernetes.ts";
import { openKubernetes, withKubernetesErrors } from "../../kubernetesConnection.ts";
import { toKubernetesNode } from "../../kubernetesObjects.ts";
import type {
  ClaimSpec,
  PodSpec,
  ProbeCluster,
  ProbedAttachment,
  ProbedClass,
  ProbedNode,
  ProbedVolume,
  ProbeNamespace,
  ProbePod,
  Warning,
} from "./cluster.ts";
import {
  beatAnnotation,
  claimBody,
  namespaceBody,
  isProbeNamespace,
  podBody,
  probeLabel,
} from "./objects.ts";

const requestMs = 15_000;

/** Connects a probe to a kubeconfig's cluster; needs admin rights. */
export async function connectProbe(kubeconfig: string): Promise<ProbeCluster> {
  const { library, config, once } = await openKubernetes(kubeconfig, requestMs);
  return new ApiProbeCluster(
    config.makeApiClient(library.CoreV1Api),
    config.makeApiClient(library.StorageV1Api),
    config.makeApiClient(library.AppsV1Api),
    once,
    library.setHeaderOptions("Content-Type", library.PatchStrategy.MergePatch, once),
  );
}

type Options = ConfigurationOptions<ObservableMiddleware>;

class ApiProbeCluster implements ProbeCluster {
  readonly #core: CoreV1Api;
  readonly #storage: StorageV1Api;
  readonly #apps: AppsV1Api;
  readonly #once: Options;
  readonly #patch: Options;

  constructor(core: CoreV1Api, storage: StorageV1Api, apps: AppsV1Api, once: Options, patch: Options) {
    this.#core = core;
    this.#storage = storage;
    this.#apps = apps;
    this.#once = once;
    this.#patch = patch;
  }

  async storageClass(name: string): Promise<ProbedClass | undefined> {
    const found = await unlessGone(this.#storage.readStorageClass({ name }, this.#once));
    if (found === undefined) return undefined;
    return {
      name,
      provisioner: found.provisioner,
      waitsForConsumer: found.volumeBindingMode === "WaitForFirstConsumer",
      // Synology's driver also creates shares (components/csi/synologyStorageClass.ts).
      isShare: ["nfs", "smb"].includes(found.parameters?.["protocol"] ?? ""),
    };
  }

  async attaches(driver: string): Promise<boolean> {
    const found = await unlessGone(this.#storage.readCSIDriver({ name: driver }, this.#once));
    return found?.spec.attachRequired ?? true;
  }

  async nodes(): Promise<ProbedNode[]> {
    const { items } = await withKubernetesErrors(this.#core.listNode({}, this.#once));
    return items.map((node) => {
      const { name, ready, reason, unschedulable } = toKubernetesNode(node);
      const taints = (node.spec?.taints ?? []).map(({ key, value = "", effect }) => ({ key, value, effect }));
      return { name, ready, reason, unschedulable, taints };
    });
  }

  async registered(): Promise<Map<string, string[]>> {
    const { items } = await withKubernetesErrors(this.#storage.listCSINode({}, this.#once));
    return new Map(
      items.map(({ metadata, spec }) => [metadata?.name ?? "", spec.drivers.map(({ name }) => name)]),
    );
  }

  async nodesOf(driver: string): Promise<Set<string>> {
    const { items } = await withKubernetesErrors(this.#apps.listDaemonSetForAllNamespaces({}, this.#once));
    const own = items.filter((set) => isNodeDaemonSet(set, driver));
    const pods = await Promise.all(
      own.map(async ({ metadata, spec }) => {
        const namespace = metadata?.namespace ?? "";
        const labelSelector = Object.entries(spec?.selector.matchLabels ?? {})
          .map(([key, value]) => `${key}=${value}`)
          .join(",");
        const list = await withKubernetesErrors(
          this.#core.listNamespacedPod({ namespace, labelSelector }, this.#once),
        );
        return list.items.flatMap(({ spec: pod }) => pod?.nodeName ?? []);
      }),
    );
    return new Set(pods.flat());
  }

  async createNamespace(name: string, labels: Record<string, string>): Promise<void> {
    await unlessThere(this.#core.createNamespace({ body: namespaceBody(name, labels) }, this.#once));
  }

  async probeNamespaces(): Promise<ProbeNamespace[]> {
    const { items } = await withKubernetesErrors(
      this.#core.listNamespace({ labelSelector: probeLabel }, this.#once),
    );
    return items.map(({ metadata }) => ({
      name: metadata?.name ?? "",
      version: metadata?.annotations?.[beatAnnotation] ?? "",
      deleting: metadata?.deletionTimestamp !== undefined,
    }));
  }

  async beat(namespace: string, count: number): Promise<void> {
    const body = { metadata: { annotations: { [beatAnnotation]: String(count) } } };
    await withKubernetesErrors(this.#core.patchNamespace({ name: namespace, body }, this.#patch));
  }

  async deleteNamespace(name: string): Promise<void> {
    await unlessGone(this.#core.deleteNamespace({ name }, this.#once));
  }

  async createClaim(namespace: string, claim: ClaimSpec): Promise<void> {
    await unlessThere(
      this.#core.createNamespacedPersistentVolumeClaim(
        { namespace, body: claimBody(claim, namespace) },
        this.#once,
      ),
    );
  }

  async volumeOf(namespace: string, claim: string): Promise<string | undefined> {
    const { spec, status } = await withKubernetesErrors(
      this.#core.readNamespacedPersistentVolumeClaim({ namespace, name: claim }, this.#once),
    );
    return status?.phase === "Bound" ? spec?.volumeName : undefined;
  }

  async deleteClaim(namespace: string, claim: string): Promise<void> {
    await unlessGone(
      this.#core.deleteNamespacedPersistentVolumeClaim({ namespace, name: claim }, this.#once),
    );
  }

  async volumes(namespace: string): Promise<ProbedVolume[]> {
    const { items } = await withKubernetesErrors(this.#core.listPersistentVolume({}, this.#once));
    return items.filter(({ spec }) => spec?.claimRef?.namespace === namespace).map(toProbedVolume);
  }

  async namespacesOfReleased(): Promise<Set<string>> {
    const { items } = await withKubernetesErrors(this.#core.listPersistentVolume({}, this.#once));
    const released = items.filter(({ status }) => status?.phase === "Released");
    const namespaces = released.map(({ spec }) => spec?.claimRef?.namespace ?? "");
    return new Set(namespaces.filter(isProbeNamespace));
  }

  async volume(name: string): Promise<ProbedVolume | undefined> {
    const found = await unlessGone(this.#core.readPersistentVolume({ name }, this.#once));
    return found === undefined ? undefined : toProbedVolume(found);
  }

  async deleteWithClaim(volume: string): Promise<void> {
    const body = { spec: { persistentVolumeReclaimPolicy: "Delete" } };
    await unlessGone(this.#core.patchPersistentVolume({ name: volume, body }, this.#patch));
  }

  async createPod(namespace: string, pod: PodSpec): Promise<void> {
    await unlessThere(
      this.#core.createNamespacedPod({ namespace, body: podBody(pod, namespace) }, this.#once),
    );
  }

  async pod(namespace: string, name: string): Promise<ProbePod | undefined> {
    const found = await unlessGone(this.#core.readNamespacedPod({ namespace, name }, this.#once));
    return found === undefined ? undefined : toProbePod(found);
  }

  async deletePod(namespace: string, name: string): Promise<void> {
    await unlessGone(this.#core.deleteNamespacedPod({ namespace, name }, this.#once));
  }

  async attachments(): Promise<ProbedAttachment[]> {
    const { items } = await withKubernetesErrors(this.#storage.listVolumeAttachment({}, this.#once));
    return items.map(({ spec, status }) => ({
      volume: spec.source.persistentVolumeName ?? "",
      node: spec.nodeName,
      attached: status?.attached ?? false,
      error: status?.detachError?.message ?? status?.attachError?.message ?? "",
    }));
  }

  async warnings(namespace: string): Promise<Warning[]> {
    const { items } = await withKubernetesErrors(this.#core.listNamespacedEvent({ namespace }, this.#once));
    return items
      .filter(({ type }) => type === "Warning")
      .sort((one, other) => timeOfEvent(one) - timeOfEvent(other))
      .map(({ involvedObject, reason, message }) => ({
        object: involvedObject.name ?? "",
        reason: reason ?? "",
        message: message ?? "",
      }));
  }
}

/** A CSI driver's node pod mounts its socket's host folder, which by convention is named after the driver. */
function isNodeDaemonSet({ spec }: V1DaemonSet, driver: string): boolean {
  return (spec?.template.spec?.volumes ?? []).some(
    ({ hostPath }) => hostPath?.path.replace(/\/+$/, "") === `/var/lib/kubelet/plugins/${driver}`,
  );
}

function toProbedVolume({ metadata, status }: V1PersistentVolume): ProbedVolume {
  const state = [status?.phase ?? "", status?.message ?? ""].filter((text) => text !== "").join(": ");
  return { name: metadata?.name ?? "", state };
}

function toProbePod({ spec, status }: V1Pod): ProbePod {
  const state = status?.containerStatuses?.[0]?.state;
  const scheduled = status?.conditions?.find(({ type }) => type === "PodScheduled");
  // A pod that the kubelet rejects or the node evicts fails without a container status.
  const failed = status?.phase === "Failed" && state?.terminated === undefined;
  const unscheduled = spec?.nodeName === undefined ? scheduled?.message : undefined;
  return {
    started: state?.running !== undefined || state?.terminated !== undefined,
    exitCode: failed ? -1 : state?.terminated?.exitCode,
    message: (failed
      ? `${status.reason ?? ""} ${status.message ?? ""}`
      : (state?.terminated?.message ?? "")
    ).trim(),
    waiting: unscheduled ?? state?.waiting?.message ?? state?.waiting?.reason ?? "",
  };
}

function timeOfEvent({ lastTimestamp, eventTime, metadata }: CoreV1Event): number {
  return (lastTimestamp ?? eventTime ?? metadata.creationTimestamp)?.getTime() ?? 0;
}

/** Undefined for a missing object. */
async function unlessGone<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await withKubernetesErrors(request);
  } catch (error) {
    if (error instanceof KubernetesError && error.status === 404) return undefined;
    throw error;
  }
}

/** An existing object means that the first request's answer was lost: names are unique per probe. */
async function unlessThere(request: Promise<unknown>): Promise<void> {
  try {
    await withKubernetesErrors(request);
  } catch (error) {
    if (!(error instanceof KubernetesError) || error.status !== 409) throw error;
  }
}
