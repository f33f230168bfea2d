import type { WatchSource } from "../watched.ts";

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

/** What a cluster is asked about its volumes. It only reads. Every method throws a KubernetesError. */
export interface StorageReader {
  /** Every attachment of the cluster: the API selects none by node. */
  readonly attachments: WatchSource<Attachment>;
  volumes(): Promise<Volume[]>;
}
