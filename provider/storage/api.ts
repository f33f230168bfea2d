import type {
  ConfigurationOptions,
  CoreV1Api,
  ObservableMiddleware,
  PolicyV1Api,
  StorageV1Api,
  V1LabelSelector,
  V1PersistentVolume,
  V1VolumeAttachment,
} from "@kubernetes/client-node";
import { KubernetesError, type KubernetesPod } from "../kubernetes.ts";
import { toKubernetesPod } from "../kubernetesObjects.ts";
import type { WatchSource } from "../watchedObjects.ts";
import type { Attachment, Budget, StorageReader, Volume } from "./reader.ts";

/** The parts of the client library the reader needs, with this program's request options. */
interface StorageApis {
  readonly core: CoreV1Api;
  readonly policy: PolicyV1Api;
  readonly storage: StorageV1Api;
  readonly once: ConfigurationOptions<ObservableMiddleware>;
  /** Turns errors into a KubernetesError. */
  readonly withErrors: <T>(request: Promise<T>) => Promise<T>;
  readonly follow: <T>(
    path: string,
    query: Record<string, string>,
    onEvent: (type: "there" | "gone", object: T) => void,
    signal: AbortSignal,
  ) => Promise<void>;
}

/** Reads a cluster's volumes from its API. */
export class ApiStorageReader implements StorageReader {
  readonly #apis: StorageApis;
  readonly attachments: WatchSource<Attachment>;

  constructor(apis: StorageApis) {
    this.#apis = apis;
    const { storage, once, withErrors, follow } = apis;
    this.attachments = {
      list: async () => {
        const list = await withErrors(storage.listVolumeAttachment({}, once));
        return { objects: list.items.map(toAttachment), version: list.metadata?.resourceVersion ?? "" };
      },
      watch: (version, onEvent, signal) =>
        follow<V1VolumeAttachment>(
          "/apis/storage.k8s.io/v1/volumeattachments",
          { resourceVersion: version },
          (type, object) => onEvent({ type, object: toAttachment(object) }),
          signal,
        ),
    };
  }

  async volumes(): Promise<Volume[]> {
    const { core, once, withErrors } = this.#apis;
    return (await withErrors(core.listPersistentVolume({}, once))).items.map(toVolume);
  }

  async driversOn(node: string): Promise<string[]> {
    const { storage, once, withErrors } = this.#apis;
    try {
      const { spec } = await withErrors(storage.readCSINode({ name: node }, once));
      return spec.drivers.map(({ name }) => name);
    } catch (error) {
      if (error instanceof KubernetesError && error.status === 404) return [];
      throw error;
    }
  }

  async budgets(): Promise<Budget[]> {
    const { policy, once, withErrors } = this.#apis;
    const list = await withErrors(policy.listPodDisruptionBudgetForAllNamespaces({}, once));
    return list.items.map(({ metadata, spec, status }) => ({
      namespace: metadata?.namespace ?? "",
      name: metadata?.name ?? "",
      allowed: status?.disruptionsAllowed ?? 0,
      selector: selectorText(spec?.selector),
    }));
  }

  async podsOf(namespace: string, labelSelector: string): Promise<string[]> {
    const { core, once, withErrors } = this.#apis;
    const list = await withErrors(core.listNamespacedPod({ namespace, labelSelector }, once));
    const pods = list.items.map(toKubernetesPod).filter(({ finished }) => !finished);
    return pods.map(({ name }) => `${namespace}/${name}`);
  }

  async pendingPods(): Promise<KubernetesPod[]> {
    const { core, once, withErrors } = this.#apis;
    const fieldSelector = "status.phase=Pending";
    return (await withErrors(core.listPodForAllNamespaces({ fieldSelector }, once))).items.map(
      toKubernetesPod,
    );
  }
}

/** In query form. */
function selectorText({ matchLabels = {}, matchExpressions = [] }: V1LabelSelector = {}): string {
  const equal = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  const others = matchExpressions.map(({ key, operator, values = [] }) => {
    if (operator === "Exists") return key;
    if (operator === "DoesNotExist") return `!${key}`;
    return `${key} ${operator === "In" ? "in" : "notin"} (${values.join(",")})`;
  });
  return [...equal, ...others].join(",");
}

function toAttachment({ metadata, spec, status }: V1VolumeAttachment): Attachment {
  return {
    uid: metadata?.uid ?? "",
    name: metadata?.name ?? "",
    driver: spec.attacher,
    node: spec.nodeName,
    volume: spec.source.persistentVolumeName ?? "",
    attached: status?.attached ?? false,
    error: status?.detachError?.message ?? status?.attachError?.message ?? "",
    metadata: Object.values(status?.attachmentMetadata ?? {}),
  };
}

function toVolume({ metadata, spec }: V1PersistentVolume): Volume {
  const claim = spec?.claimRef;
  const { csi, iscsi } = spec ?? {};
  return {
    name: metadata?.name ?? "",
    claim: claim?.name === undefined ? undefined : `${claim.namespace ?? ""}/${claim.name}`,
    driver: csi?.driver ?? "",
    handle: csi?.volumeHandle ?? "",
    attributes: [
      ...Object.values(csi?.volumeAttributes ?? {}),
      ...(iscsi === undefined ? [] : [iscsi.iqn, iscsi.targetPortal]),
    ],
  };
}
