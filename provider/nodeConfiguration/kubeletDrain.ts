import type { NodeConfigurationInputs } from "../../talos/inputs/nodeConfiguration.ts";
import { joinProblems } from "../guards/finding.ts";
import { coded, framed } from "../../talos/errorCodes.ts";
import { TalosError } from "../../talos/api/errors.ts";
import { stepError, pollUntil, type UpgradeContext } from "../context.ts";
import { EngineGone, UpgradeError } from "../errors.ts";
import { Refused } from "../gate/refused.ts";
import { nodeLabel } from "../inputs.ts";
import {
  cordonAnnotation,
  KubernetesError,
  storageAnnotation,
  type KubernetesClient,
  type KubernetesNode,
} from "../kubernetes.ts";
import { openPolicy } from "../../talos/inputs/rolloutPolicy.ts";
import { Session, type Surroundings } from "../session.ts";
import { retryKubernetes, drain, findDrainTarget, findNode } from "../steps/drain.ts";
import { awaitNotedStorage } from "../steps/storage.ts";
import { talosctlCommand } from "../talosctl.ts";
import { ConfigurationError } from "./look.ts";

/** Cordon owner for kubelet restarts: a later run lifts what a killed one left, and nothing else. */
const kubeletCordon = "talos-node kubelet";

interface DrainCall {
  readonly surroundings: Surroundings;
  readonly urn: string;
  readonly signal: AbortSignal;
}

/** Connections for draining a node, with a kubeconfig from a control plane. The caller closes them. */
export async function openForDrain(
  { surroundings, urn, signal }: DrainCall,
  wanted: NodeConfigurationInputs,
  kubeconfig: string,
): Promise<Session> {
  const { name, node, role, controlPlanes, clientConfiguration, endpoint, endpoints, timeoutSeconds } =
    wanted;
  return Session.open(
    surroundings,
    urn,
    {
      ...{ name, node, role, controlPlanes, clientConfiguration, kubeconfig, timeoutSeconds },
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(endpoints === undefined ? {} : { endpoints }),
      drain: wanted.drain,
      storageGate: wanted.storageGate,
      // Only needed by upgrades.
      ...{ talosVersion: "", schematicId: "", image: "", extensions: [], services: [], files: [] },
      ...{ prePull: false, allowSkew: false, etcdDowngrade: false, rollout: openPolicy },
    },
    signal,
  );
}

/**
 * Runs `work`, which restarts the node's kubelet, while the node is drained of pods and volumes; then waits for the kubelet, uncordons, and waits for storage.
 * If `work` throws, nothing was changed and the node is uncordoned.
 * @param applied whether `work` has restarted the kubelet
 */
export async function whileDrained<T>(
  context: UpgradeContext,
  work: () => Promise<T>,
  applied: (outcome: T) => boolean,
): Promise<T> {
  return context.gate.underLock(async () => {
    let outcome: T;
    let before: KubernetesNode | undefined;
    try {
      before = await drainForKubelet(context);
      outcome = await work();
    } catch (error) {
      await uncordonIfOurs(context, before);
      throw error;
    }
    if (!applied(outcome)) await uncordonIfOurs(context, before);
    return outcome;
  });
}

/** @returns the node before the drain */
async function drainForKubelet(context: UpgradeContext): Promise<KubernetesNode> {
  const { wanted, talos, timeouts, signal, progress, gate } = context;
  const kubernetes = await connectedKubernetes(context);
  const own = await talos.kubernetesNode({ deadlineMs: timeouts.probeMs * 2, signal });
  const nodes = await retryKubernetes(context, () => kubernetes.nodes());
  const target = findDrainTarget(nodes, own, wanted.node);
  if (target.state === "unknown")
    throw stepError(context, "drain", joinProblems([target.finding]), target.finding.hint);
  if (target.state === "alone") {
    throw stepError(
      context,
      "drain",
      coded("drain-single-node", "this is the only node of its cluster, so its pods cannot move"),
      "Scale down the workloads that use these volumes, run `pulumi up`, and scale them up again.",
    );
  }
  const { node } = target;
  requireOthersReady(context, nodes, node);
  await gate.require({ kind: "configure" });
  progress.detail("draining, since the kubelet restarts under volumes that its driver would log out");
  await drain(context, { kubernetesNode: node.name }, () => undefined, kubeletCordon);
  return node;
}

/** One node at a time: another node that is down, or was left half done by a run, comes first. */
function requireOthersReady(
  context: UpgradeContext,
  nodes: readonly KubernetesNode[],
  { name: self }: KubernetesNode,
): void {
  const busy = nodes.flatMap(({ name, ready, reason, annotations }) => {
    if (name === self) return [];
    if (!ready) return [`${name} is not ready: ${reason}`];
    if (annotations[cordonAnnotation] !== undefined) return [`${name} is still cordoned by an earlier run`];
    return annotations[storageAnnotation] === undefined ? [] : [`the storage of ${name} is not back yet`];
  });
  if (busy.length === 0) return;
  throw stepError(
    context,
    "drain",
    coded("drain-one-at-a-time", `nodes are drained one at a time, and ${busy.join(", ")}`),
    "Bring it back first, then run `pulumi up` again.",
  );
}

/**
 * Finishes a drain for a kubelet restart, from this run or a killed one: waits until the node is Ready, uncordons it, and waits for its storage. Does nothing
 * if there is nothing to finish.
 * @param resumes wait for storage even if the node is no longer cordoned
 */
export async function endDrain(context: UpgradeContext, resumes: boolean): Promise<void> {
  const { wanted, talos, timeouts, signal, progress, timer } = context;
  const kubernetes = await connectedKubernetes(context);
  const own = await talos.kubernetesNode({ deadlineMs: timeouts.probeMs * 2, signal });
  const find = async (): Promise<KubernetesNode | undefined> =>
    findNode(await kubernetes.nodes(), own, wanted.node);
  let node = await retryKubernetes(context, find);
  if (node?.annotations[cordonAnnotation] === kubeletCordon) {
    timer.start();
    node = await pollUntil(context, timer.end, async () => {
      const now = await retryKubernetes(context, find);
      progress.detail(`waiting for the kubelet: ${now?.reason ?? "Kubernetes does not know this node"}`);
      return now?.ready === true ? now : undefined;
    });
    if (node === undefined) {
      throw stepError(
        context,
        "uncordon",
        coded("node-not-ready", "Kubernetes reports the node as not Ready after its kubelet restarted"),
        `Check its kubelet (${talosctlCommand("logs kubelet", wanted.node)}). It stays cordoned until then.`,
      );
    }
    const { name } = node;
    await retryKubernetes(context, () =>
      kubernetes.patchNode(name, { unschedulable: false, annotations: { [cordonAnnotation]: null } }),
    );
  } else if (!resumes) {
    return;
  }
  await awaitNotedStorage(context, node, () => progress.detail("waiting for storage"));
}

/** Returns the node to its previous state. */
async function uncordonIfOurs(context: UpgradeContext, before: KubernetesNode | undefined): Promise<void> {
  if (context.signal.reason instanceof EngineGone) return;
  try {
    const kubernetes = await connectedKubernetes(context);
    const nodes = await kubernetes.nodes();
    const node = findNode(nodes, before?.name, context.wanted.node);
    if (node === undefined) return;
    const ours = node.annotations[cordonAnnotation] === kubeletCordon;
    const noted =
      node.annotations[storageAnnotation] !== undefined &&
      before?.annotations[storageAnnotation] === undefined;
    if (!ours && !noted) return;
    await kubernetes.patchNode(node.name, {
      ...(ours ? { unschedulable: false } : {}),
      annotations: {
        ...(ours ? { [cordonAnnotation]: null } : {}),
        ...(noted ? { [storageAnnotation]: null } : {}),
      },
    });
  } catch (error) {
    if (!(error instanceof KubernetesError) && !(error instanceof TalosError)) throw error;
    context.progress.warn(`could not be uncordoned: ${error.message}`);
  }
}

/** Words failures before the kubelet restart as configuration errors. */
export function toConfigurationError(label: string, error: unknown): unknown {
  const why = `${label}: its configuration was not applied: it restarts the kubelet under volumes that their driver would log out, and the node could not be drained: `;
  const again = "Then run `pulumi up` again.";
  if (error instanceof UpgradeError)
    return new ConfigurationError(framed(why, error.seen, `. ${error.hint}`));
  if (error instanceof Refused)
    return new ConfigurationError(framed(why, error.problems, `. ${error.hint} ${again}`));
  return error instanceof KubernetesError
    ? new ConfigurationError(coded("kubernetes-unreachable", `${why}${error.message}`, again))
    : error;
}

async function connectedKubernetes(context: UpgradeContext): Promise<KubernetesClient> {
  const kubernetes = await context.kubernetes();
  if (kubernetes === undefined)
    throw new KubernetesError(`there is no kubeconfig for ${nodeLabel(context.wanted)}`);
  return kubernetes;
}
