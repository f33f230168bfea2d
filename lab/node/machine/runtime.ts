/** A node as the rest of the lab knows it. */
export interface NodeIdentity {
  name: string;
  address: string;
  role: "controlplane" | "worker";
  talosVersion: string;
}

/** A pod that a kubelet runs from a manifest of Talos. */
export interface RunningStaticPod {
  name: string;
  image: string;
  command: string[];
  /** Of the resource that Talos made it from. */
  configVersion: string;
  /** Of the pod, and of its container: whole seconds. */
  startTime: string;
  startedAt: string;
  ready: boolean;
}

/**
 * What a simulated node expects of the Kubernetes side of the lab. The node tells what happens to it, and asks how the
 * control plane is. Nothing here is part of Talos: on a real node it is the kubelet and the static pods.
 */
export interface ClusterRuntime {
  /** A machine configuration is active on a node (parsed YAML documents); the control plane follows it. */
  configActive(node: NodeIdentity, documents: Record<string, unknown>[]): Promise<void>;
  /** etcd was bootstrapped through this node: a Kubernetes control plane has to come up. */
  bootstrapped(node: NodeIdentity): Promise<void>;
  /** The node's kubelet runs. */
  kubeletUp(node: NodeIdentity): Promise<void>;
  /** What the node's kubelet runs of Talos's own pods has changed. */
  staticPods(node: NodeIdentity, pods: RunningStaticPod[]): Promise<void>;
  /** The node's kubelet stopped running. */
  kubeletDown(node: NodeIdentity): Promise<void>;
  /** Is the Kubernetes API answering, and is this node Ready (for health checks and service states)? */
  health(node: NodeIdentity): Promise<{ apiServer: boolean; nodeReady: boolean }>;
  /** The node was reset. Its Node object stays, not ready, until somebody deletes it. */
  removed(node: NodeIdentity): Promise<void>;
}
