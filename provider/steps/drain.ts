import { duration } from "../clock.ts";
import { failure, waitFor, type UpgradeContext } from "../context.ts";
import type { NodeFacts } from "../facts.ts";
import {
  cordonedBy,
  KubernetesError,
  type KubernetesClient,
  type KubernetesNode,
  type KubernetesPod,
} from "../kubernetes.ts";

/** The node in Kubernetes, and whether the cordon on it is ours. */
export interface Cordon {
  node: KubernetesNode;
  ours: boolean;
}

/**
 * Step `drain`: cordon, and evict what a drain evicts. PodDisruptionBudgets are honoured: an eviction that one of them
 * blocks is asked for again until the timeout. Pods of DaemonSets and static pods stay. On a cluster of one node there
 * is nowhere to go, so nothing is done.
 */
export async function drain(
  context: UpgradeContext,
  facts: NodeFacts,
  onCordon: (cordon: Cordon) => void,
): Promise<void> {
  const { wanted, progress } = context;
  if (!wanted.drain.enabled) return;
  const kubernetes = await context.kubernetes();
  if (kubernetes === undefined) return;

  const nodes = await answered(context, () => kubernetes.nodes());
  const node = findNode(nodes, facts.kubernetesNode, wanted.node);
  if (node === undefined) {
    progress.info("Kubernetes does not know this node: nothing to drain");
    return;
  }
  if (nodes.length === 1) {
    progress.info("the only node of its cluster: not drained, its pods start again with it");
    return;
  }
  // A node that somebody else cordoned stays cordoned afterwards.
  const ours = !node.unschedulable || node.annotations[cordonedBy] !== undefined;
  if (!node.unschedulable) {
    // Told before it is done: a cordon whose answer gets lost has to be taken back as well.
    onCordon({ node, ours: true });
    const annotations = { [cordonedBy]: "talos-node" };
    await answered(context, () => kubernetes.patchNode(node.name, { unschedulable: true, annotations }));
  } else {
    onCordon({ node, ours });
  }
  await evictAll(context, kubernetes, node.name);
}

export function findNode(
  nodes: KubernetesNode[],
  name: string | undefined,
  address: string,
): KubernetesNode | undefined {
  return nodes.find((node) => node.name === name) ?? nodes.find((node) => node.addresses.includes(address));
}

/** Does a drain move this pod? */
function movable(pod: KubernetesPod): boolean {
  return !pod.mirror && !pod.finished && pod.owner !== "DaemonSet";
}

async function evictAll(context: UpgradeContext, kubernetes: KubernetesClient, node: string): Promise<void> {
  const { clock, patience, wanted, progress } = context;
  const timeoutMs = wanted.drain.timeoutSeconds * 1000;
  const asked = new Map<string, { at: number; reason: string }>();
  let left: KubernetesPod[] = [];
  let trouble = "";
  let warned = false;

  const done = await waitFor(context, clock.now() + timeoutMs, async () => {
    try {
      left = (await kubernetes.podsOn(node)).filter(movable);
      trouble = "";
      const bare = left.filter(({ owner }) => owner === undefined);
      if (!warned && bare.length > 0) {
        progress.warn(`evicting pods that nothing will start again: ${bare.map(podName).join(", ")}`);
      }
      warned = true;
      await Promise.all(left.map((pod) => evict(pod)));
    } catch (error) {
      if (!(error instanceof KubernetesError)) throw error;
      if (!error.transient) throw drainFailure(context, error.message);
      trouble = error.message;
      progress.detail(`the Kubernetes API does not answer: ${trouble}`);
      return undefined;
    }
    if (left.length === 0) return true;
    progress.detail(`${left.length} pods left: ${describe(left, asked)}`);
    return undefined;
  });
  if (done) return;
  const waited = `after ${duration(timeoutMs)}`;
  throw drainFailure(
    context,
    trouble === ""
      ? `${left.length} pods had not left ${waited}: ${describe(left, asked)}`
      : `the Kubernetes API did not answer ${waited}: ${trouble}`,
  );

  async function evict(pod: KubernetesPod): Promise<void> {
    const last = asked.get(pod.uid);
    // Accepted once is enough: the pod is on its way. Blocked: the budget may allow it a second later.
    if (last !== undefined && (last.reason === "" || clock.now() - last.at < patience.evictMs)) return;
    const eviction = await kubernetes.evict(pod);
    asked.set(pod.uid, { at: clock.now(), reason: eviction.outcome === "blocked" ? eviction.reason : "" });
  }
}

function describe(pods: KubernetesPod[], asked: Map<string, { reason: string }>): string {
  const shown = pods.slice(0, 10).map((pod) => {
    const reason = asked.get(pod.uid)?.reason ?? "";
    return reason === "" ? `${podName(pod)} (terminating)` : `${podName(pod)} (${reason})`;
  });
  return shown.join(", ") + (pods.length > shown.length ? ` and ${pods.length - shown.length} more` : "");
}

function podName({ namespace, name }: KubernetesPod): string {
  return `${namespace}/${name}`;
}

function drainFailure(context: UpgradeContext, seen: string): Error {
  return failure(
    context,
    "drain",
    seen,
    "The node is untouched. Make room for these pods (replicas, PodDisruptionBudgets) or raise the drain's timeout, then run `pulumi up` again.",
  );
}

/** For the calls around the eviction: an API server that is away for a moment is waited for. */
export async function answered<T>(context: UpgradeContext, ask: () => Promise<T>): Promise<T> {
  let last: KubernetesError | undefined;
  const result = await waitFor(context, context.clock.now() + context.patience.kubernetesMs, async () => {
    try {
      return { value: await ask() };
    } catch (error) {
      if (!(error instanceof KubernetesError) || !error.transient) throw error;
      last = error;
      context.progress.detail(`the Kubernetes API does not answer: ${error.message}`);
      return undefined;
    }
  });
  if (result !== undefined) return result.value;
  throw last ?? new KubernetesError("no answer");
}
