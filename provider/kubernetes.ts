import type { StorageReader } from "./storage/reader.ts";
import type { WatchSource } from "./watchedObjects.ts";

/** A node as Kubernetes sees it. */
export interface KubernetesNode {
  name: string;
  unschedulable: boolean;
  ready: boolean;
  /** Why it is not ready, in the kubelet's words. */
  reason: string;
  /** The boot that the kubelet reported last; empty if it reports none. */
  bootId: string;
  annotations: Record<string, string>;
  addresses: string[];
  /** The release of its kubelet, as it reported last; absent before it has. */
  kubeletVersion?: string;
  /** It has the label of a control plane. Absent: it has not. */
  controlPlane?: true;
  /** It has the label of `iscsi: false`: the drivers of this program stay off it. Absent: it has not. */
  withoutIscsi?: true;
  /** Volumes that the kubelet has mounted, or is about to mount, by their unique names. Those of drivers that do not attach are not among them. */
  volumesInUse: string[];
}

export interface KubernetesPod {
  namespace: string;
  name: string;
  uid: string;
  /** The kind of the object that manages it; undefined for a bare pod. */
  owner: string | undefined;
  /** A static pod's image in the API. */
  mirror: boolean;
  /** Succeeded or Failed. */
  finished: boolean;
  /** Its phase is Running, and nobody has asked it to end. */
  running: boolean;
  ready: boolean;
  /** What keeps it from running; empty where nothing is said. */
  reason: string;
  /** The claims that it uses, `namespace/name`. */
  claims: string[];
  /** It is the node part of a CSI driver. */
  registersDriver: boolean;
}

/** An API that is going to be removed, and that somebody has asked for since the API server started. */
export interface DeprecatedApi {
  /** Empty for the core group. */
  group: string;
  version: string;
  resource: string;
  /** The release without it, `1.38`. */
  removedRelease: string;
}

/** An object of any kind, as it is written in a manifest. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; [field: string]: unknown };
  [field: string]: unknown;
}

/** `blocked`: a PodDisruptionBudget does not allow it now. */
export type Eviction = { outcome: "accepted" | "gone" } | { outcome: "blocked"; reason: string };

/** Objects of any kind. */
export interface ObjectSelection {
  apiVersion: string;
  kind: string;
  /** Default: all. */
  namespace?: string;
  name?: string;
  labelSelector?: string;
}

/** What an upgrade asks of a cluster. Every method throws a KubernetesError. */
export interface KubernetesClient {
  /** `v1.35.4` */
  version(): Promise<string>;
  nodes(): Promise<KubernetesNode[]>;
  node(name: string): Promise<KubernetesNode | undefined>;
  /** One write: schedulable or not, and annotations (null takes one away). */
  patchNode(
    name: string,
    change: { unschedulable?: boolean; annotations: Record<string, string | null> },
  ): Promise<void>;
  /** The pods of a node. */
  podsOn(node: string): WatchSource<KubernetesPod>;
  /** The pods of a namespace. */
  podsIn(namespace: string): WatchSource<KubernetesPod>;
  /** The cluster's volumes. */
  readonly storage: StorageReader;
  evict(pod: KubernetesPod): Promise<Eviction>;
  /** Every object that is meant. A kind that the cluster does not have is an error with status 404. */
  objects(selection: ObjectSelection): Promise<object[]>;
  /** Which deprecated APIs somebody has asked this API server for. */
  deprecatedApis(): Promise<DeprecatedApi[]>;
  /** The object of a manifest as the cluster has it; undefined where it does not. */
  liveManifest(manifest: Manifest): Promise<Manifest | undefined>;
  /** What the object would be after it was applied. Changes nothing. */
  tryManifest(manifest: Manifest): Promise<Manifest>;
  /** Deletes a pod that a budget protects; one that is gone is no error. */
  deletePod(pod: KubernetesPod): Promise<void>;
}

/** Who has the turn at a cluster. */
export interface LockLease {
  /** Undefined: nobody. */
  holder: string | undefined;
  /** Changes with every write. */
  version: string;
}

/** The Lease by which runs of different machines take turns. Every method throws a KubernetesError. */
export interface LockLeases {
  /** Undefined where nobody has ever taken a turn. */
  turn(): Promise<LockLease | undefined>;
  /**
   * Takes, renews or (holder undefined) gives back the turn.
   * @param version what it was seen at; undefined where there was none
   * @returns the new version; undefined where somebody else was faster
   */
  takeTurn(holder: string | undefined, version: string | undefined): Promise<string | undefined>;
}

/** What only `provider/gate` may ask of a cluster. Every method throws a KubernetesError. */
export interface NodeRemover extends LockLeases {
  node(name: string): Promise<KubernetesNode | undefined>;
  /** Takes the Node object away; one that is not there is no error. */
  deleteNode(name: string): Promise<void>;
  /** Applies an object on the server's side, as Talos does. */
  applyManifest(manifest: Manifest): Promise<void>;
}

/** The Kubernetes API refused, or did not answer. */
export class KubernetesError extends Error {
  override readonly name = "KubernetesError";
  /** HTTP status; undefined if there was no answer. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }

  /** Worth another try: no answer, or the API server or etcd is busy. */
  get transient(): boolean {
    return this.status === undefined || this.status === 429 || this.status >= 500;
  }
}

/** Says on the Kubernetes node that this program cordoned it, so that a later run uncordons it, and no other. */
export const cordonAnnotation = "talos-iscsi/cordoned-by";
/** Says that this program has asked the machine to reset, so that a later run knows why it is in maintenance mode. */
export const resetAnnotation = "talos-iscsi/reset-asked";
/** Says what storage the node had before it was drained, so that a later run waits for it too. */
export const storageAnnotation = "talos-iscsi/storage-before";
/** Says what was installed in which boot and waits for a reboot, so that a later run does not install it again. */
export const installAnnotation = "talos-iscsi/installed";
