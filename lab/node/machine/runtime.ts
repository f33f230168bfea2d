/** A node, as identified in the rest of the lab. */
export interface NodeIdentity {
  name: string;
  address: string;
  role: "controlplane" | "worker";
  talosVersion: string;
}

/** A pod that a kubelet runs from a manifest written by Talos. */
export interface RunningStaticPod {
  name: string;
  image: string;
  command: string[];
  /** Version of the resource that Talos created it from. */
  configVersion: string;
  /** Start of the pod, and of its container, in whole seconds. */
  startTime: string;
  startedAt: string;
  ready: boolean;
}

/**
 * What a simulated node expects of the lab's Kubernetes side. The node reports its events and asks for the control plane's
 * health. None of this is part of Talos: on a real node, the kubelet and the static pods do it.
 */
export interface ClusterRuntime {
  /** A machine configuration has become active on a node (parsed YAML documents); the control plane follows it. */
  configActive(node: NodeIdentity, documents: Record<string, unknown>[]): Promise<void>;
  /** etcd was bootstrapped through this node: a Kubernetes control plane must come up. */
  bootstrapped(node: NodeIdentity): Promise<void>;
  /** The node's kubelet is running. */
  kubeletUp(node: NodeIdentity): Promise<void>;
  /** The static pods that the node's kubelet runs have changed. */
  staticPods(node: NodeIdentity, pods: RunningStaticPod[]): Promise<void>;
  /** The node's kubelet stopped running. */
  kubeletDown(node: NodeIdentity): Promise<void>;
  /** Whether the Kubernetes API answers and this node is Ready (for health checks and service states). */
  health(node: NodeIdentity): Promise<{ apiServer: boolean; nodeReady: boolean }>;
  /** The node was reset. Its Node object stays, NotReady, until something deletes it. */
  removed(node: NodeIdentity): Promise<void>;
}
