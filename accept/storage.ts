import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  CoreV1Api,
  KubeConfig,
  StorageV1Api,
  type CoreV1Event,
  type V1PersistentVolumeClaim,
  type V1Pod,
} from "@kubernetes/client-node";

/**
 * A volume of each StorageClass, attached to and detached from each node that takes pods, one after the other. It goes through the CSI driver as any
 * workload does: a claim, and a pod that mounts it.
 */

export interface StorageOptions {
  /** Image of the pod, which only has to stay: `registry.k8s.io/pause:3.10`. */
  image: string;
  /** How long a volume may take to be attached, detached or deleted, in seconds. */
  timeoutSeconds: number;
}

/** One volume on one node. */
export interface Attachment {
  storageClass: string;
  node: string;
  /** Seconds until a pod used the volume. */
  attached?: number;
  /** Seconds until Kubernetes had detached it. */
  detached?: number;
  problem?: string;
}

/** What a claim asks for: the least that arrays give. */
const size = "1Gi";
const label = "talos-iscsi-accept";

export class StorageCheck {
  readonly #core: CoreV1Api;
  readonly #storage: StorageV1Api;
  readonly #options: StorageOptions;
  readonly #namespace = `talos-iscsi-accept-${randomBytes(3).toString("hex")}`;

  constructor(kubeconfig: string, options: StorageOptions) {
    const config = new KubeConfig();
    config.loadFromString(kubeconfig);
    this.#core = config.makeApiClient(CoreV1Api);
    this.#storage = config.makeApiClient(StorageV1Api);
    this.#options = options;
  }

  /** What it makes is gone afterwards, whatever happened; what cannot be removed is a problem. */
  async run(storageClasses: readonly string[]): Promise<Attachment[]> {
    const nodes = await this.#nodes();
    const done: Attachment[] = [];
    await this.#core.createNamespace({
      body: {
        metadata: {
          name: this.#namespace,
          labels: { [label]: "true", "pod-security.kubernetes.io/enforce": "restricted" },
        },
      },
    });
    try {
      for (const [index, storageClass] of storageClasses.entries())
        done.push(...(await this.#volume(storageClass, `volume-${index}`, nodes)));
    } finally {
      const problem = await this.#removeNamespace().catch(told);
      if (problem !== undefined)
        done.push({ storageClass: "", node: "", problem: `namespace ${this.#namespace}: ${problem}` });
    }
    return done;
  }

  async #removeNamespace(): Promise<string | undefined> {
    await this.#core.deleteNamespace({ name: this.#namespace });
    const gone = await this.#waited(async () => {
      const { items } = await this.#core.listNamespace({ labelSelector: `${label}=true` });
      return !items.some(({ metadata }) => metadata?.name === this.#namespace);
    });
    return gone === undefined ? `not deleted within ${this.#options.timeoutSeconds} s` : undefined;
  }

  /** Nodes on which an ordinary pod may run. */
  async #nodes(): Promise<string[]> {
    const { items } = await this.#core.listNode();
    return items
      .filter(
        ({ spec }) =>
          spec?.unschedulable !== true &&
          !(spec?.taints ?? []).some(({ effect }) => effect === "NoSchedule" || effect === "NoExecute"),
      )
      .map(({ metadata }) => metadata?.name ?? "");
  }

  async #volume(storageClass: string, claim: string, nodes: readonly string[]): Promise<Attachment[]> {
    const [namespace, done] = [this.#namespace, [] as Attachment[]];
    await this.#core.createNamespacedPersistentVolumeClaim({
      namespace,
      body: claimOf(claim, storageClass),
    });
    for (const node of nodes) done.push(await this.#attach(storageClass, claim, node));
    const volume = await this.#volumeOf(claim);
    await this.#core.deleteNamespacedPersistentVolumeClaim({ name: claim, namespace });
    if (volume === undefined) return done;
    const gone = await this.#waited(async () => !(await this.#exists(volume)));
    if (gone === undefined)
      done.push({
        storageClass,
        node: "",
        problem: `its volume ${volume} is still there. With reclaimPolicy Retain that is what the class says: delete it by hand`,
      });
    return done;
  }

  async #attach(storageClass: string, claim: string, node: string): Promise<Attachment> {
    const [namespace, name] = [this.#namespace, `${claim}-${randomBytes(3).toString("hex")}`];
    const found: Attachment = { storageClass, node };
    await this.#core.createNamespacedPod({ namespace, body: podOf(name, claim, node, this.#options.image) });
    const attached = await this.#waited(async () => this.#uses(name, claim, node));
    const stuck = attached === undefined ? await this.#why(name, claim) : undefined;
    await this.#core.deleteNamespacedPod({ name, namespace, gracePeriodSeconds: 0 });
    const detached = await this.#waited(async () => !(await this.#attachedTo(claim, node)));
    return {
      ...found,
      ...(attached === undefined ? {} : { attached }),
      ...(detached === undefined ? {} : { detached }),
      ...(stuck !== undefined
        ? { problem: stuck }
        : detached === undefined
          ? { problem: `not detached within ${this.#options.timeoutSeconds} s` }
          : {}),
    };
  }

  /** The pod runs, and the driver says that the volume is attached. */
  async #uses(pod: string, claim: string, node: string): Promise<boolean> {
    const { status } = await this.#core.readNamespacedPod({ name: pod, namespace: this.#namespace });
    const isReady = (status?.conditions ?? []).some(
      ({ type, status: is }) => type === "Ready" && is === "True",
    );
    return isReady && (await this.#attachedTo(claim, node));
  }

  async #attachedTo(claim: string, node: string): Promise<boolean> {
    const volume = await this.#volumeOf(claim);
    if (volume === undefined) return false;
    const { items } = await this.#storage.listVolumeAttachment();
    return items.some(
      ({ spec, status }) =>
        spec.nodeName === node && spec.source.persistentVolumeName === volume && status?.attached === true,
    );
  }

  async #volumeOf(claim: string): Promise<string | undefined> {
    const { spec } = await this.#core.readNamespacedPersistentVolumeClaim({
      name: claim,
      namespace: this.#namespace,
    });
    return spec?.volumeName;
  }

  async #exists(volume: string): Promise<boolean> {
    const { items } = await this.#core.listPersistentVolume();
    return items.some(({ metadata }) => metadata?.name === volume);
  }

  /** What Kubernetes says of a pod that does not start: the latest warnings about it and its claim. */
  async #why(pod: string, claim: string): Promise<string> {
    const { items } = await this.#core.listNamespacedEvent({ namespace: this.#namespace });
    const [latest] = items
      .filter(
        ({ involvedObject, type }) => type === "Warning" && [pod, claim].includes(involvedObject.name ?? ""),
      )
      .sort((one, other) => timeOf(other) - timeOf(one));
    const why =
      latest === undefined
        ? "Kubernetes gives no reason; see its events and the driver's logs"
        : `${latest.reason ?? ""}: ${latest.message ?? ""}`;
    return `not attached within ${this.#options.timeoutSeconds} s. ${why}`;
  }

  /** Seconds until it was true; undefined where it never was. */
  async #waited(isSo: () => Promise<boolean>): Promise<number | undefined> {
    const started = performance.now();
    const limit = started + this.#options.timeoutSeconds * 1_000;
    for (;;) {
      if (await isSo()) return Math.round((performance.now() - started) / 100) / 10;
      if (performance.now() > limit) return undefined;
      await sleep(500);
    }
  }
}

function claimOf(name: string, storageClass: string): V1PersistentVolumeClaim {
  return {
    metadata: { name, labels: { [label]: "true" } },
    spec: {
      storageClassName: storageClass,
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: size } },
    },
  };
}

function podOf(name: string, claim: string, node: string, image: string): V1Pod {
  return {
    metadata: { name, labels: { [label]: "true" } },
    spec: {
      restartPolicy: "Never",
      // By the scheduler, so that classes that wait for the first consumer get one.
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: [node] }] }],
          },
        },
      },
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 65534,
        seccompProfile: { type: "RuntimeDefault" },
      },
      containers: [
        {
          name: "holder",
          image,
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
          volumeMounts: [{ name: "volume", mountPath: "/volume" }],
        },
      ],
      volumes: [{ name: "volume", persistentVolumeClaim: { claimName: claim } }],
    },
  };
}

function timeOf({ lastTimestamp, eventTime, metadata }: CoreV1Event): number {
  return (lastTimestamp ?? eventTime ?? metadata.creationTimestamp)?.getTime() ?? 0;
}

function told(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
