import { normalizeHost } from "../../talos/endpoint.ts";
import { coded, type CodedText } from "../../talos/errorCodes.ts";
import { admissionRefusal } from "../admission.ts";
import { formatDuration } from "../clock.ts";
import { stepError, throwIfCancelled, pollUntil, type UpgradeContext } from "../context.ts";
import { backoff } from "../timeouts.ts";
import type { NodeFacts } from "../facts.ts";
import { joinProblems, type Finding } from "../guards/finding.ts";
import {
  cordonAnnotation,
  KubernetesError,
  type KubernetesClient,
  type KubernetesNode,
  type KubernetesPod,
} from "../kubernetes.ts";
import { awaitVolumesDetached, warnOfVolumes } from "../storage/awaitDetached.ts";
import { noteStorage, storageAnnotations } from "../storage/storageNote.ts";
import { Watched } from "../watchedObjects.ts";

/** The node in Kubernetes, and whether its cordon is ours. */
export interface Cordon {
  node: KubernetesNode;
  ours: boolean;
}

/** What there is to drain. */
type DrainTarget =
  { state: "node"; node: KubernetesNode } | { state: "alone" } | { state: "unknown"; finding: Finding };

/** A node that Kubernetes knows by neither name nor address can't be drained: its pods would go down with it. */
export function findDrainTarget(
  nodes: KubernetesNode[],
  name: string | undefined,
  address: string,
): DrainTarget {
  const node = findNode(nodes, name, address);
  if (node !== undefined) return nodes.length === 1 ? { state: "alone" } : { state: "node", node };
  if (nodes.length === 0) return { state: "alone" };
  return {
    state: "unknown",
    finding: {
      code: "node-not-in-kubernetes",
      problem: `Kubernetes has no node with the name ${name ?? "(none yet)"} or the address ${address}, so it cannot be drained`,
      hint: "Check `kubectl get nodes -o wide`: does the kubeconfig belong to this cluster, and has the node joined? For a node that runs no pods, turn the drain off.",
      mayPass: true,
      recovers: name === undefined,
    },
  };
}

/**
 * Step `drain`: cordons the node, evicts pods, and waits until the volumes have detached too. PodDisruptionBudgets are honored: an eviction that a budget
 * blocks is retried until the timeout. DaemonSet and static pods stay. On a single-node cluster pods have nowhere to go, so nothing is done; a node that isn't
 * drained reports its volumes.
 * @param by the owner recorded in the cordon annotation
 */
export async function drain(
  context: UpgradeContext,
  facts: Pick<NodeFacts, "kubernetesNode">,
  onCordon: (cordon: Cordon) => void,
  by = "talos-node",
): Promise<void> {
  const { wanted, progress } = context;
  if (!wanted.drain.enabled) {
    await warnOfVolumes(context, "is not drained (drain.enabled: false)");
    return noteStorage(context, facts.kubernetesNode);
  }
  const kubernetes = await context.kubernetes();
  if (kubernetes === undefined) return;

  const nodes = await retryKubernetes(context, () => kubernetes.nodes());
  const target = findDrainTarget(nodes, facts.kubernetesNode, wanted.node);
  if (target.state === "unknown")
    throw stepError(context, "drain", joinProblems([target.finding]), target.finding.hint);
  if (target.state === "alone") {
    progress.info("the only node of its cluster: not drained, its pods restart with it");
    await warnOfVolumes(context, "is not drained (the only node of its cluster)");
    return noteStorage(context, nodes[0]?.name);
  }
  const { node } = target;
  context.storage.of(node.name);
  // A node that somebody else cordoned stays cordoned afterwards.
  const ours = !node.unschedulable || node.annotations[cordonAnnotation] !== undefined;
  // Reported before it happens: a cordon whose response gets lost must be lifted as well.
  onCordon({ node, ours });
  const pods = new Watched(kubernetes.podsOn(node.name), context);
  const timeoutMs = wanted.drain.timeoutSeconds * 1000;
  let end: number;
  try {
    const notes = await retryKubernetes(context, () =>
      storageAnnotations(context, kubernetes, node, () => pods.objects()),
    );
    if (!node.unschedulable) {
      const annotations = { [cordonAnnotation]: by, ...notes };
      await retryKubernetes(context, () =>
        kubernetes.patchNode(node.name, { unschedulable: true, annotations }),
      );
    } else if (Object.keys(notes).length > 0) {
      await retryKubernetes(context, () => kubernetes.patchNode(node.name, { annotations: notes }));
    }
    end = context.clock.now() + timeoutMs;
    await evictAll(context, kubernetes, pods, end);
  } finally {
    pods.close();
  }
  await awaitVolumesDetached(context, end, timeoutMs);
}

/** An empty name matches nothing: a node without a name is found by its address only. */
export function findNode(
  nodes: KubernetesNode[],
  name: string | undefined,
  address: string,
): KubernetesNode | undefined {
  return (
    (name === undefined ? undefined : nodes.find((node) => node.name === name)) ??
    nodes.find((node) => node.addresses.some((own) => normalizeHost(own) === normalizeHost(address)))
  );
}

/** Whether a drain evicts this pod. */
function isMovedByDrain(pod: KubernetesPod): boolean {
  return !pod.mirror && !pod.finished && pod.owner !== "DaemonSet";
}

/** A pod that was asked to leave. */
interface PendingEviction {
  /** Why it may not leave, in the budget's words; empty if it is terminating. */
  reason: string;
  /** When to retry. */
  next: number;
  pause: () => number;
  /** Time of the first attempt. */
  since: number;
}

/** Evicts until no pod is left. Changes arrive through a watch, so waiting costs only the eviction attempts. */
async function evictAll(
  context: UpgradeContext,
  kubernetes: KubernetesClient,
  watched: Watched<KubernetesPod>,
  end: number,
): Promise<void> {
  const { clock, timeouts, wanted, progress, signal } = context;
  const { whenBlocked, blockedTimeoutSeconds } = wanted.drain;
  const asked = new Map<string, PendingEviction>();
  let trouble: string;
  let left: KubernetesPod[] = [];
  for (let first = true; ; first = false) {
    throwIfCancelled(context);
    try {
      left = (await watched.objects()).filter(isMovedByDrain);
      if (first) warnOfBarePods(context, left);
      for (const pod of left) await evictPod(pod);
      left = (await watched.objects()).filter(isMovedByDrain);
      trouble = "";
    } catch (error) {
      if (!(error instanceof KubernetesError)) throw error;
      if (!error.transient)
        throw drainError(context, coded("kubernetes-access", `Kubernetes: ${error.message}`), rightsHint);
      trouble = error.message;
      watched.forget();
      progress.detail(`the Kubernetes API does not answer: ${trouble}`);
    }
    if (trouble === "" && left.length === 0) return;
    const remaining = end - clock.now();
    if (remaining <= 0) break;
    if (trouble === "") progress.detail(`${left.length} pods left: ${describePending(left, asked)}`);
    const next = Math.min(...left.map(({ uid }) => asked.get(uid)?.next ?? 0), Infinity);
    const pauseMs = trouble === "" ? next - clock.now() : timeouts.pollMaxMs;
    await watched.change(Math.min(pauseMs, remaining), signal);
  }
  const waited = `after ${formatDuration(wanted.drain.timeoutSeconds * 1000)}`;
  throw trouble === ""
    ? drainError(
        context,
        coded(
          "drain-pods",
          `${left.length} ${left.length === 1 ? "pod" : "pods"} had not left ${waited}: ${describePending(left, asked)}`,
        ),
        blockedHint(left.map(({ uid }) => asked.get(uid)?.reason ?? "")),
      )
    : drainError(
        context,
        coded("kubernetes-unreachable", `the Kubernetes API did not answer ${waited}: ${trouble}`),
        apiHint,
      );

  async function evictPod(pod: KubernetesPod): Promise<void> {
    const last = asked.get(pod.uid);
    if (last !== undefined && clock.now() < last.next) return;
    const { outcome, ...rest } = await kubernetes.evict(pod);
    if (outcome === "gone") watched.gone(pod);
    const pause = last?.pause ?? backoff(clock, timeouts.evictMs, timeouts.evictMaxMs);
    const since = last?.since ?? clock.now();
    // One acceptance is enough: the pod is terminating. Blocked: the budget may allow it a second later.
    let reason = "reason" in rest ? rest.reason : "";
    const deleted =
      whenBlocked === "delete" && isBudget(reason) ? since + blockedTimeoutSeconds * 1000 : Infinity;
    if (reason !== "" && clock.now() >= deleted) {
      progress.warn(
        `deleting pod ${podName(pod)}: its PodDisruptionBudget blocked the eviction for ${formatDuration(clock.now() - since)}: ${reason}`,
      );
      await kubernetes.deletePod(pod);
      reason = "";
    }
    const next =
      reason === "" ? Infinity : Math.min(clock.now() + pause(), Math.max(clock.now() + 1, deleted));
    asked.set(pod.uid, { reason, next, pause, since });
  }
}

/** Admission control refuses evictions too. A deletion would bypass it. */
function isBudget(reason: string): boolean {
  return admissionRefusal(reason) === undefined && /disruption ?budget/i.test(reason);
}

function warnOfBarePods({ progress }: UpgradeContext, pods: KubernetesPod[]): void {
  const bare = pods.filter(({ owner }) => owner === undefined);
  if (bare.length > 0)
    progress.warn(`evicting pods that no controller will recreate: ${bare.map(podName).join(", ")}`);
}

function describePending(pods: KubernetesPod[], asked: Map<string, { reason: string }>): string {
  const shown = pods.slice(0, 10).map((pod) => {
    const reason = asked.get(pod.uid)?.reason ?? "";
    return reason === "" ? `${podName(pod)} (terminating)` : `${podName(pod)} (${reason})`;
  });
  return shown.join(", ") + (pods.length > shown.length ? ` and ${pods.length - shown.length} more` : "");
}

function podName({ namespace, name }: KubernetesPod): string {
  return `${namespace}/${name}`;
}

const budgetHint = "Make room for these pods (replicas, PodDisruptionBudgets) or raise the drain's timeout";

/** @param reasons why each pod is still there; empty if it is terminating */
function blockedHint(reasons: readonly string[]): string {
  const hints = reasons.map((reason) => {
    const refusal = admissionRefusal(reason);
    if (refusal === undefined) return budgetHint;
    return refusal.isDown
      ? `Bring back what answers ${refusal.by} (\`kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations\` shows its service)`
      : `Do what ${refusal.by} asks for`;
  });
  return [...new Set(hints)].join(". ");
}

const apiHint = "Check the control planes, and that this machine can reach the kubeconfig's endpoint";
const rightsHint = "Check that the kubeconfig may read and evict pods";

/** @param remedy what to do before the next run */
function drainError(context: UpgradeContext, seen: CodedText, remedy: string): Error {
  return stepError(context, "drain", seen, `${remedy}, then run \`pulumi up\` again.`);
}

/** For calls around the eviction: waits for an API server that is briefly down. */
export async function retryKubernetes<T>(context: UpgradeContext, ask: () => Promise<T>): Promise<T> {
  let last: KubernetesError | undefined;
  const result = await pollUntil(context, context.clock.now() + context.timeouts.kubernetesMs, async () => {
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
