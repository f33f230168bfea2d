import type { NodeIdentity, RunningStaticPod } from "../node/machine/runtime.ts";
import type { ControlPlaneSettings, NodeSettings } from "./configuration.ts";
import type { NodeRegistry } from "./nodes.ts";

/** The last known state of a node, and what was last reported of it to the API. */
export interface NodeState {
  identity: NodeIdentity;
  node: NodeSettings | undefined;
  controlPlane: ControlPlaneSettings | undefined;
  kubelet: boolean;
  /** Whether it has joined the cluster: as an etcd member, if it is a control plane. */
  joined: boolean;
  staticPods: RunningStaticPod[];
  /** Last reported state of the Node object, as text for comparison, and of its mirror pods. */
  reported: string;
  reportedPods: string;
  /** The report in progress: a slow report of an earlier state must not finish after a later one. */
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

/** Updates the Node object and the mirror pods to match the node. */
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
