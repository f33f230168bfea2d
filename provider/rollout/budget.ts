import type { Budget } from "../../talos/inputs/rolloutPolicy.ts";
import { laneCount } from "../../talos/lanes.ts";
import { TalosError } from "../../talos/api/errors.ts";
import { stepError, throwIfCancelled, type UpgradeContext } from "../context.ts";
import { backoff } from "../timeouts.ts";
import type { StepName } from "../errors.ts";
import { inQueue } from "../gate/clusterQueue.ts";
import { describeMachine } from "../facts.ts";
import { waitLimit, joinProblems, type Finding } from "../guards/finding.ts";
import { cordonAnnotation, KubernetesError, type KubernetesNode } from "../kubernetes.ts";
import { untrustedServerCertificate } from "../maintenance.ts";
import { findNode } from "../steps/drain.ts";
import type { RolloutMember } from "../../talos/rolloutMembers.ts";
import { readNodes } from "../readNodes.ts";

/** Nodes that operations of this process are working on, by cluster and group. It only makes others wait; it never lets one proceed. */
const nodesInProgress = new Map<string, Set<string>>();

/** An unavailable node of the group, and why. */
interface UnavailableNode {
  name: string;
  reason: string;
  /** It may come back by itself within minutes. */
  recovers: boolean;
}

/** The budget a node counts against; undefined for a control plane, which goes one at a time anyway. */
export function nodeBudget({ wanted }: Pick<UpgradeContext, "wanted">): Budget | undefined {
  return wanted.rollout.budgets.find(({ nodes }) => nodes.includes(wanted.name));
}

/**
 * Runs `work`, which takes the node down and brings it back, while the group has room for one more unavailable node. Nodes that are cordoned or not ready for
 * any reason use up the budget; those of this rollout are waited for, others get some time to recover.
 */
export async function withinBudget<T>(context: UpgradeContext, work: () => Promise<T>): Promise<T> {
  const budget = nodeBudget(context);
  if (budget === undefined) return work();
  const { wanted, signal } = context;
  const key = `${wanted.clientConfiguration.caCertificate}\0${budget.group}`;
  const held = nodesInProgress.get(key) ?? new Set<string>();
  nodesInProgress.set(key, held);
  // One check and one reservation at a time: two concurrent checks would both see the last free slot.
  const reserve = (): Promise<Finding | undefined> =>
    inQueue(`${key}\0look`, signal, async () => {
      const found = await budgetFinding(context, held);
      if (found === undefined) held.add(wanted.name);
      return found;
    });
  await waitForRoom(context, "gate", reserve, held);
  try {
    return await work();
  } finally {
    held.delete(wanted.name);
  }
}

/** Before a rollout: whether one node of the group may go down right now. */
export async function requireBudgetRoom(context: UpgradeContext): Promise<void> {
  await waitForRoom(context, "guard", () => budgetFinding(context), new Set());
}

async function waitForRoom(
  context: UpgradeContext,
  step: StepName,
  look: () => Promise<Finding | undefined>,
  held: ReadonlySet<string>,
): Promise<void> {
  const { clock, timeouts, signal, progress } = context;
  let since = clock.now();
  const pause = backoff(clock, timeouts.pollMs, timeouts.pollMaxMs);
  for (;;) {
    throwIfCancelled(context);
    const finding = await look();
    if (finding === undefined) return;
    // This rollout's own nodes come back or fail: their duration doesn't count against the cluster.
    if (held.size > 0) since = clock.now();
    if (since + waitLimit([finding], timeouts) <= clock.now())
      throw stepError(context, step, joinProblems([finding]), finding.hint);
    progress.detail(`waiting: ${finding.problem}`);
    await clock.sleep(pause(), signal);
  }
}

/**
 * What blocks one more unavailable node of the group. Undefined: there is room.
 * @param held nodes in progress, which count whatever their state
 */
export async function budgetFinding(
  context: UpgradeContext,
  held: ReadonlySet<string> = new Set(),
): Promise<Finding | undefined> {
  const budget = nodeBudget(context);
  if (budget === undefined) return undefined;
  const allowed = laneCount(budget.nodes.length, budget.maxUnavailable);
  let others: UnavailableNode[];
  try {
    others = await findUnavailable(context, budget, held);
  } catch (error) {
    if (!(error instanceof KubernetesError)) throw error;
    return {
      code: "kubernetes-unreachable",
      problem: `the Kubernetes API does not answer: ${error.message}`,
      hint: "It is needed to see which nodes are available. Check the control planes and the kubeconfig.",
      mayPass: error.transient,
      recovers: true,
    };
  }
  if (others.length < allowed) return undefined;
  const list = others.map(({ name, reason }) => `${name} (${reason})`).join(", ");
  return {
    code: "workers-unavailable",
    problem: `${others.length} of the ${budget.group} ${others.length === 1 ? "is" : "are"} already unavailable, and at most ${allowed} may be: ${list}`,
    hint: `Bring ${others.length === 1 ? "it" : "them"} back (\`kubectl uncordon\`, or repair the machine), or raise ${budget.setting}.`,
    mayPass: true,
    recovers: others.some(({ recovers }) => recovers),
  };
}

async function findUnavailable(
  context: UpgradeContext,
  budget: Budget,
  held: ReadonlySet<string>,
): Promise<UnavailableNode[]> {
  const { wanted } = context;
  const members = wanted.rollout.nodes.filter(
    ({ name }) => name !== wanted.name && budget.nodes.includes(name),
  );
  const kubernetes = await context.kubernetes();
  const nodes = await kubernetes?.nodes();
  const judged = await readNodes(members, async (member) =>
    held.has(member.name)
      ? [{ name: member.name, reason: "being upgraded", recovers: true }]
      : memberUnavailability(context, nodes, member),
  );
  return judged.flat();
}

async function memberUnavailability(
  context: UpgradeContext,
  nodes: KubernetesNode[] | undefined,
  member: RolloutMember,
): Promise<UnavailableNode[]> {
  const { name, node } = member;
  if (nodes === undefined) return machineUnavailability(context, member);
  const found = findNode(nodes, name, node) ?? (await findByHostname(context, nodes, member));
  // Kubernetes runs nothing on a node it doesn't know.
  if (found === undefined) return [];
  if (found === "silent") return [{ name, reason: "does not answer", recovers: true }];
  if (!found.ready) return [{ name, reason: `not ready: ${found.reason}`, recovers: true }];
  if (!found.unschedulable) return [];
  const ours = found.annotations[cordonAnnotation] !== undefined;
  return [{ name, reason: ours ? "cordoned by an unfinished upgrade" : "cordoned", recovers: false }];
}

/** A node may have a different name and address in Kubernetes: then only the node itself can tell. */
async function findByHostname(
  { peer, timeouts, signal }: UpgradeContext,
  nodes: KubernetesNode[],
  { node }: RolloutMember,
): Promise<KubernetesNode | "silent" | undefined> {
  const talos = peer(node);
  try {
    const own = await talos.kubernetesNode({ deadlineMs: timeouts.probeMs, signal });
    return nodes.find(({ name }) => name === own);
  } catch (error) {
    if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    // A machine that hasn't joined this cluster yet takes nothing from it.
    return (await untrustedServerCertificate(error, talos)) === undefined ? "silent" : undefined;
  }
}

/** Without Kubernetes only the machine can tell. */
async function machineUnavailability(
  { peer, timeouts, signal }: UpgradeContext,
  { name, node }: RolloutMember,
): Promise<UnavailableNode[]> {
  const talos = peer(node);
  try {
    const machine = await talos.machineStatus({ deadlineMs: timeouts.probeMs, signal });
    if (machine.stage === "running" && machine.ready) return [];
    return [{ name, reason: `the machine is ${describeMachine(machine)}`, recovers: true }];
  } catch (error) {
    if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    if ((await untrustedServerCertificate(error, talos)) !== undefined) return [];
    return [{ name, reason: "does not answer", recovers: true }];
  }
}
