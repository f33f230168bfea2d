import { setTimeout as sleep } from "node:timers/promises";
import {
  CoreV1Api,
  KubeConfig,
  PatchStrategy,
  setHeaderOptions,
  StorageV1Api,
} from "@kubernetes/client-node";

/**
 * Plays the part of a CSI driver's controller on the lab's Kubernetes, whose pods run without their images: it provisions, attaches and deletes
 * volumes as external-provisioner and external-attacher would. Binding, scheduling, attaching and detaching are the real controller manager's.
 */
export class CsiDouble {
  readonly #core: CoreV1Api;
  readonly #storage: StorageV1Api;
  readonly #stop = new AbortController();
  #work: Promise<void> = Promise.resolve();
  /** Nodes to which nothing is attached. */
  readonly broken = new Set<string>();
  /** Every attachment that was made: `node` of the volume, in order. */
  readonly attached: string[] = [];

  constructor(kubeconfig: string) {
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    this.#core = config.makeApiClient(CoreV1Api);
    this.#storage = config.makeApiClient(StorageV1Api);
  }

  start(): void {
    this.#work = (async () => {
      while (!this.#stop.signal.aborted) {
        await this.#turn();
        await sleep(200);
      }
    })();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#work;
  }

  async volumes(): Promise<number> {
    return (await this.#core.listPersistentVolume()).items.length;
  }

  async #turn(): Promise<void> {
    const [claims, volumes, attachments, classes] = await Promise.all([
      this.#core.listPersistentVolumeClaimForAllNamespaces(),
      this.#core.listPersistentVolume(),
      this.#storage.listVolumeAttachment(),
      this.#storage.listStorageClass(),
    ]);
    for (const { metadata, spec } of claims.items) {
      const name = `pvc-${metadata?.uid ?? ""}`;
      const known = volumes.items.some((volume) => volume.metadata?.name === name);
      const driver = classes.items.find((one) => one.metadata?.name === spec?.storageClassName)?.provisioner;
      if (known || driver === undefined || metadata?.deletionTimestamp !== undefined) continue;
      await this.#core.createPersistentVolume({
        body: {
          metadata: { name },
          spec: {
            storageClassName: spec?.storageClassName ?? "",
            capacity: { storage: "1Gi" },
            accessModes: ["ReadWriteOnce"],
            persistentVolumeReclaimPolicy: "Delete",
            claimRef: {
              kind: "PersistentVolumeClaim",
              namespace: metadata?.namespace ?? "",
              name: metadata?.name ?? "",
              uid: metadata?.uid ?? "",
            },
            csi: { driver, volumeHandle: name },
          },
        },
      });
    }
    for (const { metadata, spec, status } of attachments.items) {
      if (status?.attached === true || this.broken.has(spec.nodeName)) continue;
      this.attached.push(spec.nodeName);
      await this.#storage.patchVolumeAttachmentStatus(
        { name: metadata?.name ?? "", body: { status: { attached: true } } },
        setHeaderOptions("Content-Type", PatchStrategy.MergePatch),
      );
    }
    for (const { metadata, status } of volumes.items)
      if (status?.phase === "Released")
        await this.#core.deletePersistentVolume({ name: metadata?.name ?? "" });
  }
}
