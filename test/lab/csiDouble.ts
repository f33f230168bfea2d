import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  CoreV1Api,
  KubeConfig,
  PatchStrategy,
  setHeaderOptions,
  StorageV1Api,
  type V1Pod,
  type V1PodStatus,
} from "@kubernetes/client-node";
import type { LabProject } from "./project.ts";

/** Where the kubelet finds a driver's socket; the driver's node plugin mounts a folder below it. */
const plugins = "/var/lib/kubelet/plugins/";

/**
 * A stand-in for a CSI driver on the lab's Kubernetes, where pods do not run their images. It registers on the nodes of its node plugin, and provisions, attaches
 * and deletes volumes like external-provisioner and external-attacher. For the storage probe's pods it also plays the kubelet: once a pod's volume is attached, the
 * pod's command runs here with a folder as the volume. The real controller manager and scheduler do the binding, scheduling, attaching and detaching.
 */
export class CsiDouble {
  readonly #core: CoreV1Api;
  readonly #storage: StorageV1Api;
  readonly #stop = new AbortController();
  readonly #folder = mkdtempSync(join(tmpdir(), "csi-double-"));
  /** UIDs of pods whose command is running or has run. */
  readonly #ran = new Set<string>();
  /** Registered drivers, as `node driver`. */
  readonly #registered = new Set<string>();
  #work: Promise<void> = Promise.resolve();
  /** Nodes on which attaching fails. */
  readonly broken = new Set<string>();
  /** The node of every attachment, in order. */
  readonly attached: string[] = [];

  constructor(kubeconfig: string) {
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    this.#core = config.makeApiClient(CoreV1Api);
    this.#storage = config.makeApiClient(StorageV1Api);
  }

  start(): void {
    this.#work = (async () => {
      let failures = 0;
      while (!this.#stop.signal.aborted) {
        try {
          await this.#turn();
          failures = 0;
        } catch (error) {
          // The API server restarts during a rollout. Kubelets and drivers retry, and so does this, for a minute.
          if (++failures > 300) throw error;
        }
        await sleep(200);
      }
    })();
    this.#work.catch(() => this.#stop.abort());
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#work;
    rmSync(this.#folder, { recursive: true, force: true });
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
    for (const { metadata, spec, status } of volumes.items)
      if (status?.phase === "Released" && spec?.persistentVolumeReclaimPolicy === "Delete")
        await this.#core.deletePersistentVolume({ name: metadata?.name ?? "" });
    const { items: pods } = await this.#core.listPodForAllNamespaces();
    for (const pod of pods) await this.#register(pod);
    for (const pod of pods.filter(isWaitingProbe)) {
      const name = pod.spec?.volumes?.find(({ persistentVolumeClaim: claim }) => claim !== undefined)
        ?.persistentVolumeClaim?.claimName;
      const claim = claims.items.find(
        ({ metadata }) => metadata?.namespace === pod.metadata?.namespace && metadata?.name === name,
      );
      const volume = claim?.spec?.volumeName;
      const isAttached = attachments.items.some(
        ({ spec, status }) =>
          status?.attached === true &&
          spec.nodeName === pod.spec?.nodeName &&
          spec.source.persistentVolumeName === volume,
      );
      const uid = pod.metadata?.uid ?? "";
      if (volume === undefined || !isAttached || this.#ran.has(uid)) continue;
      this.#ran.add(uid);
      await this.#run(pod, volume);
    }
  }

  /** Registers a driver, as the kubelet does when the node-driver-registrar calls it. */
  async #register({ spec, status }: V1Pod): Promise<void> {
    const node = spec?.nodeName ?? "";
    const paths = (spec?.volumes ?? []).flatMap(({ hostPath }) => hostPath?.path ?? []);
    const own = paths
      .find((path) => path.startsWith(plugins))
      ?.slice(plugins.length)
      .replace(/\/$/, "");
    if (
      own === undefined ||
      own === "" ||
      status?.phase !== "Running" ||
      this.#registered.has(`${node} ${own}`)
    )
      return;
    const drivers = [{ name: own, nodeID: node, topologyKeys: null }] as never;
    const known = (await this.#storage.listCSINode()).items.find(({ metadata }) => metadata?.name === node);
    if (known === undefined)
      await this.#storage.createCSINode({ body: { metadata: { name: node }, spec: { drivers } } });
    else if (!known.spec.drivers.some(({ name }) => name === own))
      await this.#storage.patchCSINode(
        { name: node, body: { spec: { drivers } } },
        setHeaderOptions("Content-Type", PatchStrategy.StrategicMergePatch),
      );
    this.#registered.add(`${node} ${own}`);
  }

  async #run(pod: V1Pod, volume: string): Promise<void> {
    const [container] = pod.spec?.containers ?? [];
    const given = Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value ?? ""]));
    const place = (part: string): string => {
      const folder = join(this.#folder, part);
      mkdirSync(folder, { recursive: true });
      return folder;
    };
    const result = join(place("results"), pod.metadata?.uid ?? "");
    const running = { startedAt: new Date() };
    await this.#report(pod, {
      phase: "Running",
      containerStatuses: [containerStatus(container, { running })],
    });
    // Like in the pod, except for the paths.
    const env = {
      PATH: process.env["PATH"],
      ...given,
      VOLUME: place(join("volumes", volume)),
      MEMORY: place(join("memory", pod.metadata?.uid ?? "")),
      RESULT: result,
    };
    const [file = "", ...args] = container?.command ?? [];
    const exitCode = await new Promise<number>((resolve, reject) => {
      const child = spawn(file, args, { env, stdio: "ignore" });
      child.once("error", reject);
      child.once("close", (code) => resolve(code ?? 1));
    });
    const message = exitCode === 0 ? readFileSync(result, "utf8") : "";
    const terminated = { exitCode, message, reason: exitCode === 0 ? "Completed" : "Error", ...running };
    await this.#report(pod, {
      phase: exitCode === 0 ? "Succeeded" : "Failed",
      containerStatuses: [
        containerStatus(container, { terminated: { ...terminated, finishedAt: new Date() } }),
      ],
    });
  }

  /** Ignores pods that were deleted in the meantime. */
  async #report({ metadata }: V1Pod, status: V1PodStatus): Promise<void> {
    await this.#core
      .patchNamespacedPodStatus(
        { name: metadata?.name ?? "", namespace: metadata?.namespace ?? "", body: { status } },
        setHeaderOptions("Content-Type", PatchStrategy.MergePatch),
      )
      .catch((error: { code?: number }) => {
        if (error.code !== 404) throw error;
      });
  }
}

function isWaitingProbe({ metadata, spec, status }: V1Pod): boolean {
  return (
    metadata?.labels?.["talos-iscsi/probe"] !== undefined &&
    metadata.deletionTimestamp === undefined &&
    spec?.nodeName !== undefined &&
    status?.phase === "Pending"
  );
}

function containerStatus(container: { name: string; image?: string } | undefined, state: object) {
  const { name = "", image = "" } = container ?? {};
  const isRunning = "running" in state;
  return { name, image, imageID: image, ready: isRunning, started: isRunning, restartCount: 0, state };
}

/** Lists what storage probes left behind. */
export function probeLeftovers(lab: LabProject): Promise<string> {
  return lab.tool(
    "kubectl",
    "get",
    "namespaces,persistentvolumes",
    "--selector=talos-iscsi/probe",
    "--output=name",
  );
}
