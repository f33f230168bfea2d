import type { KubernetesPod } from "../kubernetes.ts";
import type { WatchSource } from "../watchedObjects.ts";

/** A volume that is attached to a node, or on its way there or away: a VolumeAttachment. */
export interface Attachment {
  uid: string;
  /** Name of the object. */
  name: string;
  /** The CSI driver. */
  driver: string;
  /** Name of the node in Kubernetes. */
  node: string;
  /** Name of the PersistentVolume; empty for a volume that is written into a pod. */
  volume: string;
  attached: boolean;
  /** What went wrong when it was attached or detached last; empty where nothing did. */
  error: string;
  /** What the driver said of it, such as the target's name. */
  metadata: string[];
}

/** A PersistentVolume, as far as its place matters. */
export interface Volume {
  name: string;
  /** `namespace/name` of its claim; undefined for one that nobody claims. */
  claim: string | undefined;
  driver: string;
  /** What the driver calls it. */
  handle: string;
  /** Values that the driver keeps with it, an iSCSI target's name among them. */
  attributes: string[];
}

/** A PodDisruptionBudget. */
export interface Budget {
  namespace: string;
  name: string;
  /** How many of its pods may be disrupted now. */
  allowed: number;
  /** Its pods, as the API selects them: `app=db`. */
  selector: string;
}

/** What a cluster is asked about its volumes. It only reads. Every method throws a KubernetesError. */
export interface StorageReader {
  /** Every attachment of the cluster: the API selects none by node. */
  readonly attachments: WatchSource<Attachment>;
  volumes(): Promise<Volume[]>;
  /** The CSI drivers that the node's kubelet has registered. */
  driversOn(node: string): Promise<string[]>;
  budgets(): Promise<Budget[]>;
  /** `namespace/name` of the pods that a selector finds, without finished ones. */
  podsOf(namespace: string, selector: string): Promise<string[]>;
  /** The pods that wait to run. */
  pendingPods(): Promise<KubernetesPod[]>;
}
