/** What the storage probe asks of a cluster. Every method throws a KubernetesError. */
export interface ProbeCluster {
  /** Undefined: there is no StorageClass of that name. */
  storageClass(name: string): Promise<ProbedClass | undefined>;
  /** Whether volumes of the driver are attached to a node before they are mounted, as its CSIDriver object says. */
  attaches(driver: string): Promise<boolean>;
  nodes(): Promise<ProbedNode[]>;
  /** The drivers that the kubelets have registered (CSINode), by node. */
  registered(): Promise<Map<string, string[]>>;
  /** Nodes on which a DaemonSet has a pod of the driver's node part, well or not. */
  nodesOf(driver: string): Promise<Set<string>>;

  createNamespace(name: string, labels: Record<string, string>): Promise<void>;
  /** Namespaces of probes, this one's included. */
  probeNamespaces(): Promise<ProbeNamespace[]>;
  /** Shows others that the probe is at work: the version of its namespace changes. */
  beat(namespace: string, count: number): Promise<void>;
  /** A namespace that is gone is no error. */
  deleteNamespace(name: string): Promise<void>;

  createClaim(namespace: string, claim: ClaimSpec): Promise<void>;
  /** Name of the claim's volume; undefined while it has none. */
  volumeOf(namespace: string, claim: string): Promise<string | undefined>;
  deleteClaim(namespace: string, claim: string): Promise<void>;
  volume(name: string): Promise<ProbedVolume | undefined>;
  /** PersistentVolumes that are, or were, bound to claims in the namespace. */
  volumes(namespace: string): Promise<ProbedVolume[]>;
  /** Has the volume deleted with its claim, whatever its StorageClass says. A volume that is gone is no error. */
  deleteWithClaim(volume: string): Promise<void>;

  createPod(namespace: string, pod: PodSpec): Promise<void>;
  pod(namespace: string, name: string): Promise<ProbePod | undefined>;
  deletePod(namespace: string, name: string): Promise<void>;
  attachments(): Promise<ProbedAttachment[]>;
  /** Warnings about objects of the namespace, oldest first. */
  warnings(namespace: string): Promise<Warning[]>;
}

export interface ProbedClass {
  name: string;
  provisioner: string;
  /** The volume is made when a pod that uses it has a node. */
  waitsForConsumer: boolean;
  /** The volume is a share of a file server, whose root folder belongs to root. */
  isShare: boolean;
}

export interface Taint {
  key: string;
  value: string;
  effect: string;
}

/** A taint that the probe's pods tolerate, as in a pod. */
export interface Toleration {
  key?: string;
  operator?: string;
  value?: string;
  effect?: string;
  tolerationSeconds?: number;
}

export interface ProbedNode {
  name: string;
  ready: boolean;
  /** Why it is not ready, in the kubelet's words. */
  reason: string;
  unschedulable: boolean;
  taints: Taint[];
}

export interface ProbeNamespace {
  name: string;
  /** Changes with every beat. */
  version: string;
  deleting: boolean;
}

export interface ClaimSpec {
  name: string;
  storageClass: string;
  accessMode: AccessMode;
  size: string;
}

export type AccessMode = "ReadWriteOnce" | "ReadWriteOncePod";

export interface PodSpec {
  name: string;
  claim: string;
  node: string;
  image: string;
  /** What it does with the volume. */
  task: "write" | "read";
  asRoot: boolean;
  tolerations: readonly Toleration[];
}

export interface ProbePod {
  /** Its container runs, or has run. */
  started: boolean;
  /** Undefined until its container has ended. */
  exitCode: number | undefined;
  /** What the container left as its last words; or what the kubelet says of a pod that it refused. */
  message: string;
  /** What keeps it from starting; empty where nothing is said. */
  waiting: string;
}

export interface ProbedVolume {
  name: string;
  /** Its state, with the driver's words where it could not be deleted. */
  state: string;
}

export interface ProbedAttachment {
  volume: string;
  node: string;
  attached: boolean;
  /** What went wrong when it was attached or detached last; empty where nothing did. */
  error: string;
}

export interface Warning {
  /** Name of the object. */
  object: string;
  reason: string;
  message: string;
}
