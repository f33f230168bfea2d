import type { StorageReader } from "./storage/reader.ts";
import type { WatchSource } from "./watchedObjects.ts";

/** A node as Kubernetes reports it. */
export interface KubernetesNode {
  name: string;
  unschedulable: boolean;
  ready: boolean;
  /** Why it is not ready, in the kubelet's words. */
  reason: string;
  /** The boot ID the kubelet reported last; empty if none. */
  bootId: string;
  annotations: Record<string, string>;
  addresses: string[];
  /** The release the kubelet reported last; absent before the first report. */
  kubeletVersion?: string;
  /** It has the control-plane label. */
  controlPlane?: true;
  /** It has the label set by `iscsi: false`: this program's drivers don't run on it. */
  withoutIscsi?: true;
  /** Volumes that the kubelet has mounted or is about to mount, by unique name. Volumes of drivers that don't attach are not listed. */
  volumesInUse: string[];
}

export interface KubernetesPod {
  namespace: string;
  name: string;
  uid: string;
  /** The kind of the managing object; undefined for a bare pod. */
  owner: string | undefined;
  /** The API's mirror of a static pod. */
  mirror: boolean;
  /** Succeeded or Failed. */
  finished: boolean;
  /** Its phase is Running and it is not terminating. */
  running: boolean;
  ready: boolean;
  /** Why it isn't running; empty if no reason is given. */
  reason: string;
  /** The claims it uses, `namespace/name`. */
  claims: string[];
  /** It is a CSI driver's node pod. */
  registersDriver: boolean;
}

/** An API scheduled for removal that a client has requested since the API server started. */
export interface DeprecatedApi {
  /** Empty for the core group. */
  group: string;
  version: string;
  resource: string;
  /** The first release without it, `1.38`. */
  removedRelease: string;
}

/** An object of any kind, as in a manifest. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; [field: string]: unknown };
  [field: string]: unknown;
}

/** `blocked`: a PodDisruptionBudget or admission control doesn't allow it now, in its own words. */
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

/** What an upgrade needs from a cluster. Every method throws a KubernetesError. */
export interface KubernetesClient {
  /** `v1.35.4` */
  version(): Promise<string>;
  nodes(): Promise<KubernetesNode[]>;
  node(name: string): Promise<KubernetesNode | undefined>;
  /** Patches schedulability and annotations in one write (null removes an annotation). */
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
  /** All selected objects. A kind that the cluster doesn't have is an error with status 404. */
  objects(selection: ObjectSelection): Promise<object[]>;
  /** The deprecated APIs that clients have requested from this API server. */
  deprecatedApis(): Promise<DeprecatedApi[]>;
  /** The live object of a manifest; undefined if there is none. */
  liveManifest(manifest: Manifest): Promise<Manifest | undefined>;
  /** The object as it would be after applying. Changes nothing. */
  tryManifest(manifest: Manifest): Promise<Manifest>;
  /** Deletes a pod that a budget protects; a missing pod is not an error. */
  deletePod(pod: KubernetesPod): Promise<void>;
}

/** The holder of the cluster lock. */
export interface LockLease {
  /** Undefined: nobody. */
  holder: string | undefined;
  /** Changes with every write. */
  version: string;
}

/** The Lease that serves as the cluster lock between machines. Every method throws a KubernetesError. */
export interface LockLeases {
  /** Undefined if nobody ever held the lock. */
  readLease(): Promise<LockLease | undefined>;
  /**
   * Acquires, renews or (holder undefined) releases the lock.
   * @param version the version last seen; undefined if there was none
   * @returns the new version; undefined if another holder was faster
   */
  writeLease(holder: string | undefined, version: string | undefined): Promise<string | undefined>;
}

/** Calls reserved for `provider/gate`. Every method throws a KubernetesError. */
export interface NodeRemover extends LockLeases {
  node(name: string): Promise<KubernetesNode | undefined>;
  /** Deletes the Node object; a missing one is not an error. */
  deleteNode(name: string): Promise<void>;
  /** Server-side apply, as Talos does it. */
  applyManifest(manifest: Manifest): Promise<void>;
}

/** The Kubernetes API refused, or didn't answer. */
export class KubernetesError extends Error {
  override readonly name = "KubernetesError";
  /** HTTP status; undefined without an answer. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }

  /** Worth a retry: no answer, or the API server or etcd is busy. */
  get transient(): boolean {
    return this.status === undefined || this.status === 429 || this.status >= 500;
  }
}

/** Marks a Kubernetes node that this program cordoned, so that a later run uncordons it and no other. */
export const cordonAnnotation = "talos-iscsi/cordoned-by";
/** Marks a machine that this program asked to reset, so that a later run knows why it is in maintenance mode. */
export const resetAnnotation = "talos-iscsi/reset-asked";
/** Records the node's storage before the drain, so that a later run waits for it too. */
export const storageAnnotation = "talos-iscsi/storage-before";
/** Records what was installed in which boot and waits for a reboot, so that a later run doesn't reinstall it. */
export const installAnnotation = "talos-iscsi/installed";
