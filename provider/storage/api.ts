import type {
  ConfigurationOptions,
  CoreV1Api,
  ObservableMiddleware,
  StorageV1Api,
  V1PersistentVolume,
  V1VolumeAttachment,
} from "@kubernetes/client-node";
import type { WatchSource } from "../watched.ts";
import type { Attachment, StorageReader, Volume } from "./reader.ts";

/** What the reader needs of the client library, and how this program asks. */
export interface StorageApis {
  readonly core: CoreV1Api;
  readonly storage: StorageV1Api;
  readonly once: ConfigurationOptions<ObservableMiddleware>;
  /** Turns what goes wrong into a KubernetesError. */
  readonly told: <T>(request: Promise<T>) => Promise<T>;
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
    const { storage, once, told, follow } = apis;
    this.attachments = {
      list: async () => {
        const list = await told(storage.listVolumeAttachment({}, once));
        return { objects: list.items.map(attachment), version: list.metadata?.resourceVersion ?? "" };
      },
      watch: (version, onEvent, signal) =>
        follow<V1VolumeAttachment>(
          "/apis/storage.k8s.io/v1/volumeattachments",
          { resourceVersion: version },
          (type, object) => onEvent({ type, object: attachment(object) }),
          signal,
        ),
    };
  }

  async volumes(): Promise<Volume[]> {
    const { core, once, told } = this.#apis;
    return (await told(core.listPersistentVolume({}, once))).items.map(volume);
  }
}

function attachment({ metadata, spec, status }: V1VolumeAttachment): Attachment {
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

function volume({ metadata, spec }: V1PersistentVolume): Volume {
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
