import type { NodeIdentity, RunningStaticPod } from "../node/machine/runtime.ts";
import type { ControlPlaneSettings, NodeSettings } from "./configuration.ts";
import type { NodeRegistry } from "./nodes.ts";

/** What has been heard of a node, and what the API was told of that. */
export interface NodeState {
  identity: NodeIdentity;
  node: NodeSettings | undefined;
  controlPlane: ControlPlaneSettings | undefined;
  kubelet: boolean;
  /** Has been part of the cluster: an etcd member, if it is a control plane. */
  joined: boolean;
  staticPods: RunningStaticPod[];
  /** What the Node object was last told, as text to compare, and what its static pods' mirrors were. */
  reported: string;
  reportedPods: string;
  /** The report that is under way: a slow one of an earlier state does not end after a later one. */
  reporting: Promise<void>;
}

export function createNodeState(node: NodeIdentity): NodeState {
  return {
    identity: { ...node },
    node: undefined,
    controlPlane: undefined,
    kubelet: false,
    joined: false,
    staticPods: [],
    reported: "",
    reportedPods: "",
    reporting: Promise.resolve(),
  };
}

/** Brings the Node object and the mirrors of static pods to where the node is. */
export async function syncNode(registry: NodeRegistry, state: NodeState): Promise<void> {
  if (state.node === undefined || (!state.kubelet && state.reported === "")) return;
  const news = JSON.stringify([state.identity, state.node, state.kubelet]);
  if (news !== state.reported) {
    await (state.kubelet
      ? registry.up(state.identity, state.node)
      : registry.down(state.identity, state.node));
    state.reported = news;
  }
  const pods = JSON.stringify(state.staticPods);
  if (pods === state.reportedPods) return;
  await registry.mirrorPods.report(state.identity, state.staticPods);
  state.reportedPods = pods;
}
