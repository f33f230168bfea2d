import type { KubernetesPod } from "../kubernetes.ts";
import type { WatchSource } from "../watchedObjects.ts";

/** A volume that is attached to a node, or being attached or detached: a VolumeAttachment. */
export interface Attachment {
  uid: string;
  /** Name of the object. */
  name: string;
  /** The CSI driver. */
  driver: string;
  /** Name of the node in Kubernetes. */
  node: string;
  /** Name of the PersistentVolume; empty for an inline volume. */
  volume: string;
  attached: boolean;
  /** The last attach or detach error; empty if none. */
  error: string;
  /** The driver's metadata, such as the target's name. */
  metadata: string[];
}

/** The parts of a PersistentVolume that locate it. */
export interface Volume {
  name: string;
  /** `namespace/name` of its claim; undefined if unclaimed. */
  claim: string | undefined;
  driver: string;
  /** The driver's ID for it. */
  handle: string;
  /** Values stored by the driver, such as an iSCSI target's name. */
  attributes: string[];
}

/** A PodDisruptionBudget. */
export interface Budget {
  namespace: string;
  name: string;
  /** How many of its pods may be disrupted now. */
  allowed: number;
  /** Its pods, as an API label selector: `app=db`. */
  selector: string;
}

/** Reads a cluster's volumes. Every method throws a KubernetesError. */
export interface StorageReader {
  /** Every attachment of the cluster: the API can't select them by node. */
  readonly attachments: WatchSource<Attachment>;
  volumes(): Promise<Volume[]>;
  /** The CSI drivers registered with the node's kubelet. */
  driversOn(node: string): Promise<string[]>;
  budgets(): Promise<Budget[]>;
  /** `namespace/name` of the pods that a selector matches, without finished ones. */
  podsOf(namespace: string, selector: string): Promise<string[]>;
  /** Pending pods. */
  pendingPods(): Promise<KubernetesPod[]>;
}
