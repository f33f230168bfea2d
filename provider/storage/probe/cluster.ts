/** What the storage probe needs from a cluster. Every method throws a KubernetesError. */
export interface ProbeCluster {
  /** Undefined: there is no StorageClass of that name. */
  storageClass(name: string): Promise<ProbedClass | undefined>;
  /** Whether the driver's volumes are attached to a node before they are mounted, according to its CSIDriver object. */
  attaches(driver: string): Promise<boolean>;
  nodes(): Promise<ProbedNode[]>;
  /** The drivers registered with the kubelets (CSINode), by node. */
  registered(): Promise<Map<string, string[]>>;
  /** Nodes with a DaemonSet pod of the driver's node plugin, healthy or not. */
  nodesOf(driver: string): Promise<Set<string>>;

  createNamespace(name: string, labels: Record<string, string>): Promise<void>;
  /** Namespaces of probes, including this one's. */
  probeNamespaces(): Promise<ProbeNamespace[]>;
  /** Heartbeat: changes the version of the probe's namespace. */
  beat(namespace: string, count: number): Promise<void>;
  /** A missing namespace is not an error. */
  deleteNamespace(name: string): Promise<void>;

  createClaim(namespace: string, claim: ClaimSpec): Promise<void>;
  /** Name of the claim's volume; undefined if it has none. */
  volumeOf(namespace: string, claim: string): Promise<string | undefined>;
  deleteClaim(namespace: string, claim: string): Promise<void>;
  volume(name: string): Promise<ProbedVolume | undefined>;
  /** PersistentVolumes that are, or were, bound to claims in the namespace. */
  volumes(namespace: string): Promise<ProbedVolume[]>;
  /** Namespaces of probes whose claims are gone, but not the PersistentVolumes. */
  namespacesOfReleased(): Promise<Set<string>>;
  /** Makes the volume go with its claim, whatever its StorageClass says. A missing volume is not an error. */
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
  /** The volume is created once a pod that uses it has a node. */
  waitsForConsumer: boolean;
  /** The volume is a file server's share, whose root folder belongs to root. */
  isShare: boolean;
}

export interface Taint {
  key: string;
  value: string;
  effect: string;
}

/** A toleration of the probe's pods, as in a pod spec. */
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
  /** Its container is running or has run. */
  started: boolean;
  /** Undefined until its container has ended. */
  exitCode: number | undefined;
  /** The container's termination message, or the kubelet's message for a rejected pod. */
  message: string;
  /** Why it hasn't started; empty if no reason is given. */
  waiting: string;
}

export interface ProbedVolume {
  name: string;
  /** Its phase, with the driver's error if it could not be deleted. */
  state: string;
}

export interface ProbedAttachment {
  volume: string;
  node: string;
  attached: boolean;
  /** The last attach or detach error; empty if none. */
  error: string;
}

export interface Warning {
  /** Name of the object. */
  object: string;
  reason: string;
  message: string;
}
