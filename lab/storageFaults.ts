import { setTimeout as sleep } from "node:timers/promises";
import {
  ApiException,
  AppsV1Api,
  CoreV1Api,
  KubeConfig,
  PatchStrategy,
  setHeaderOptions,
  StorageV1Api,
  type V1Pod,
  type V1VolumeAttachment,
} from "@kubernetes/client-node";
import type { KubernetesRuntime } from "./kubernetes/runtime.ts";
import type { FaultDefinition } from "./node/machine/faults.ts";
import type { SimulatedNode } from "./node/node.ts";

/**
 * A pod with a claim runs on the node, and its CSI driver works or doesn't. The controller manager is the real one: it creates and deletes
 * the VolumeAttachments. The lab simulates the external attacher and the kubelet's part.
 */
export const storageFaultCatalogue = [
  {
    id: "volume-in-use",
    does: "a pod with a claim runs on the node; its driver attaches and detaches as it should",
  },
  {
    id: "volume-never-detaches",
    does: "such a pod's driver never detaches: the volume stays attached to the node",
  },
  { id: "session-leaks", does: "such a pod's driver detaches but leaves its iSCSI session behind" },
  { id: "volume-attach-error", does: "such a pod's volume cannot be attached to any other node" },
] as const satisfies readonly FaultDefinition[];

export type StorageFaultId = (typeof storageFaultCatalogue)[number]["id"];

export function isStorageFaultId(id: string): id is StorageFaultId {
  return storageFaultCatalogue.some((fault) => fault.id === id);
}

const namespace = "default";
const driver = "iscsi.csi.joviandss.open-e.com";
const finalizer = "external-attacher/iscsi-csi-joviandss-open-e-com";
/** Set on a pod that waits for its volume, and on one whose volume is mounted (lab/kubernetes/stages.yaml). */
const waitingAnnotation = "talos-iscsi-lab/waits-for-volume";
const mountedAnnotation = "talos-iscsi-lab/volume-mounted";

interface Clients {
  core: CoreV1Api;
  apps: AppsV1Api;
  storage: StorageV1Api;
}

/** The subject of a fault: one pod with one volume. */
interface Subject {
  /** Name of the pod's owner, the claim and the volume. */
  name: string;
  /** The node that the pod prefers. */
  home: string;
  id: StorageFaultId;
}

interface ActiveFault {
  subject: Subject;
  clients: Clients;
  lifted: AbortController;
  /** Ends after `lifted`. */
  driver: Promise<void>;
}

/** The active storage faults of the cluster. */
export class StorageFaults {
  readonly #kubernetes: KubernetesRuntime;
  readonly #node: (name: string) => SimulatedNode;
  #active: ActiveFault[] = [];

  constructor(kubernetes: KubernetesRuntime, node: (name: string) => SimulatedNode) {
    this.#kubernetes = kubernetes;
    this.#node = node;
  }

  active(node: string): StorageFaultId[] {
    return this.#active.filter(({ subject }) => subject.home === node).map(({ subject }) => subject.id);
  }

  /** Resolves once the pod runs on the node with its volume. */
  async set(node: string, id: StorageFaultId): Promise<void> {
    if (this.active(node).includes(id)) return;
    const subject = { name: `${id}-on-${node}`, home: node, id };
    const clients = this.#connect();
    await createWorkload(clients, subject);
    const lifted = new AbortController();
    const driving = this.#drive(clients, subject, lifted.signal);
    this.#active.push({ subject, clients, lifted, driver: driving });
    await pollUntil(
      async () =>
        (await podsOf(clients, subject)).some(
          ({ spec, status }) => spec?.nodeName === node && status?.phase === "Running",
        ),
      `the pod ${subject.name}-0 does not run on ${node} with its volume`,
    );
  }

  /** Lifts one fault of the node, or all of them: the driver works again, and the pod and its volume are removed. */
  async lift(node: string, id?: StorageFaultId): Promise<void> {
    const lifting = this.#active.filter(
      ({ subject }) => subject.home === node && (id === undefined || subject.id === id),
    );
    await Promise.all(lifting.map(async (one) => this.#takeAway(one)));
    this.#active = this.#active.filter((one) => !lifting.includes(one));
  }

  async #takeAway({ subject, clients, lifted, driver: driving }: ActiveFault): Promise<void> {
    lifted.abort();
    await driving;
    const { core, apps } = clients;
    const { name } = subject;
    await ignoreStatus(404, apps.deleteNamespacedStatefulSet({ namespace, name }));
    await ignoreStatus(
      404,
      core.deleteNamespacedPod({ namespace, name: `${name}-0`, gracePeriodSeconds: 0 }),
    );
    await pollUntil(async () => {
      await this.#serve(clients, { ...subject, id: "volume-in-use" });
      return (await attachmentsOf(clients, subject)).length === 0;
    }, `the volume ${name} is still attached`);
    for (const one of await nodeNames(clients)) this.#node(one).boot?.iscsi.logout(targetOf(subject));
    await ignoreStatus(404, core.deleteNamespacedPersistentVolumeClaim({ namespace, name }));
    await ignoreStatus(404, core.deletePersistentVolume({ name }));
    await pollUntil(
      async () => (await core.listPersistentVolume()).items.every(({ metadata }) => metadata?.name !== name),
      `the volume ${name} is still there`,
    );
  }

  async #drive(clients: Clients, subject: Subject, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // The API may be down while its node reboots.
      await this.#serve(clients, subject).catch(() => undefined);
      await sleep(100);
    }
  }

  /** One reconciliation pass of the attacher and the kubelets. */
  async #serve(clients: Clients, subject: Subject): Promise<void> {
    const pods = await podsOf(clients, subject);
    const all = await attachmentsOf(clients, subject);
    for (const node of await nodeNames(clients)) {
      const here = pods.filter(({ spec }) => spec?.nodeName === node);
      const attachments = all.filter(({ spec }) => spec.nodeName === node);
      if (here.length + attachments.length === 0) continue;
      // An attachment is removed only once the node's kubelet reports that it no longer uses the volume.
      await this.#tellKubelet(clients, node, subject, here.length > 0);
      for (const attachment of attachments) await finishAttachment(clients, attachment, subject);
      const iscsi = this.#node(node).boot?.iscsi;
      if (here.length === 0) {
        if (subject.id !== "session-leaks") iscsi?.logout(targetOf(subject));
      } else if (iscsi !== undefined && attachments.some(isAttached)) {
        iscsi.login(targetOf(subject));
        for (const pod of here) await startPod(clients, pod);
      }
    }
  }

  /** A kubelet reports the volumes of its running pods, if its machine is up. */
  async #tellKubelet({ core }: Clients, node: string, subject: Subject, uses: boolean): Promise<void> {
    if (this.#node(node).boot === undefined) return;
    const volume = `kubernetes.io/csi/${driver}^${handleOf(subject)}`;
    const before = (await core.readNode({ name: node })).status?.volumesInUse ?? [];
    if (before.includes(volume) === uses) return;
    const volumesInUse = uses ? [...before, volume] : before.filter((one) => one !== volume);
    await core.patchNodeStatus({ name: node, body: { status: { volumesInUse } } }, merge);
  }

  #connect(): Clients {
    const config = new KubeConfig();
    config.loadFromString(this.#kubernetes.adminKubeconfig());
    return {
      core: config.makeApiClient(CoreV1Api),
      apps: config.makeApiClient(AppsV1Api),
      storage: config.makeApiClient(StorageV1Api),
    };
  }
}

const merge = setHeaderOptions("Content-Type", PatchStrategy.MergePatch);

/** A driver that is registered on every node, a volume, its claim, and a pod that uses it and prefers the node. */
async function createWorkload(clients: Clients, subject: Subject): Promise<void> {
  const { core, apps, storage } = clients;
  const { name, home } = subject;
  for (const one of await nodeNames(clients)) {
    const drivers = [{ name: driver, nodeID: one }];
    await ignoreStatus(409, storage.createCSINode({ body: { metadata: { name: one }, spec: { drivers } } }));
  }
  const requests = { storage: "1Gi" };
  const volume = { accessModes: ["ReadWriteOnce"], storageClassName: "" };
  await core.createPersistentVolume({
    body: {
      metadata: { name },
      spec: {
        ...volume,
        capacity: requests,
        claimRef: { namespace, name },
        csi: { driver, volumeHandle: handleOf(subject) },
      },
    },
  });
  await core.createNamespacedPersistentVolumeClaim({
    namespace,
    body: { metadata: { name }, spec: { ...volume, resources: { requests }, volumeName: name } },
  });
  const preference = {
    matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: [home] }],
  };
  await apps.createNamespacedStatefulSet({
    namespace,
    body: {
      metadata: { name },
      spec: {
        serviceName: name,
        selector: { matchLabels: { app: name } },
        template: {
          metadata: { labels: { app: name, [waitingAnnotation]: "true" } },
          spec: {
            affinity: {
              nodeAffinity: {
                preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, preference }],
              },
            },
            containers: [{ name: "pause", image: "registry.k8s.io/pause:3.10" }],
            volumes: [{ name: "data", persistentVolumeClaim: { claimName: name } }],
          },
        },
      },
    },
  });
}

/** What the external attacher does with one attachment. */
async function finishAttachment(
  { storage }: Clients,
  { metadata, spec, status }: V1VolumeAttachment,
  subject: Subject,
): Promise<void> {
  const { home, id } = subject;
  const name = metadata?.name ?? "";
  if (metadata?.deletionTimestamp !== undefined) {
    if (id !== "volume-never-detaches")
      await ignoreStatus(
        404,
        storage.patchVolumeAttachment({ name, body: { metadata: { finalizers: null } } }, merge),
      );
    return;
  }
  const tell = async (body: object): Promise<void> => {
    await ignoreStatus(404, storage.patchVolumeAttachmentStatus({ name, body: { status: body } }, merge));
  };
  if (metadata?.finalizers?.includes(finalizer) !== true)
    await ignoreStatus(
      404,
      storage.patchVolumeAttachment({ name, body: { metadata: { finalizers: [finalizer] } } }, merge),
    );
  if (id === "volume-attach-error" && spec.nodeName !== home) {
    const attachError = { message: "the array refuses the initiator", time: new Date() };
    if (status?.attachError === undefined) await tell({ attached: false, attachError });
  } else if (status?.attached !== true) {
    await tell({ attached: true, attachmentMetadata: { iqn: targetOf(subject) } });
  }
}

/** The volume is mounted: the pod's containers may start. */
async function startPod({ core }: Clients, { metadata }: V1Pod): Promise<void> {
  if (metadata?.annotations?.[mountedAnnotation] !== undefined || metadata?.deletionTimestamp !== undefined)
    return;
  const body = { metadata: { annotations: { [mountedAnnotation]: "true" } } };
  await ignoreStatus(404, core.patchNamespacedPod({ namespace, name: metadata?.name ?? "", body }, merge));
}

function isAttached({ metadata, status }: V1VolumeAttachment): boolean {
  return status?.attached === true && metadata?.deletionTimestamp === undefined;
}

async function podsOf({ core }: Clients, { name }: Subject): Promise<V1Pod[]> {
  return (await core.listNamespacedPod({ namespace, labelSelector: `app=${name}` })).items;
}

async function attachmentsOf({ storage }: Clients, { name }: Subject): Promise<V1VolumeAttachment[]> {
  const { items } = await storage.listVolumeAttachment();
  return items.filter(({ spec }) => spec.source.persistentVolumeName === name);
}

async function nodeNames({ core }: Clients): Promise<string[]> {
  const { items } = await core.listNode();
  return items.map(({ metadata }) => metadata?.name ?? "");
}

/** The handle as JovianDSS names it. */
function handleOf({ name }: Subject): string {
  return `vp_${name}`;
}

function targetOf({ name }: Subject): string {
  return `iqn.2019-04.com.example.lab:${name}`;
}

async function pollUntil(done: () => Promise<boolean>, otherwise: string): Promise<void> {
  for (const limit = Date.now() + 30_000; !(await done()); await sleep(50))
    if (Date.now() > limit) throw new Error(otherwise);
}

/** 409: already created. 404: already gone. */
async function ignoreStatus(code: 404 | 409, work: Promise<unknown>): Promise<void> {
  await work.catch((error: unknown) => {
    if (!(error instanceof ApiException) || error.code !== code) throw error;
  });
}
