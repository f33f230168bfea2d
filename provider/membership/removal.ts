import { codedFailure } from "../codedFailure.ts";
import { coded, hasCode, type CodedText } from "../../talos/errorCodes.ts";
import { isTransient, TalosError } from "../../talos/api/errors.ts";
import { throwIfCancelled, pollUntil } from "../context.ts";
import { EngineGone, NodeRebooted, UpgradeError } from "../errors.ts";
import { Refused } from "../gate/refused.ts";
import { joinHints, joinProblems, type Finding } from "../guards/finding.ts";
import { KubernetesError, resetAnnotation } from "../kubernetes.ts";
import { untrustedServerCertificate, isInMaintenanceMode } from "../maintenance.ts";
import { talosctlCommand } from "../talosctl.ts";
import { retryKubernetes, drain, findNode } from "../steps/drain.ts";
import { releaseNode } from "../steps/uncordon.ts";
import { removalSteps, RemovalError, type RemovalContext, type RemovalStep } from "./context.ts";
import { readEtcdReport, findMachine, type FoundMachine } from "./look.ts";
import { memberLabel } from "./members.ts";
import type { EtcdReport } from "./quorum.ts";
import { readNodes } from "../readNodes.ts";

type Member = Extract<FoundMachine, { is: "member" }>;

/**
 * Removes a node from the cluster: drains it, removes it from etcd, wipes its configuration and data into maintenance mode, and deletes it from Kubernetes.
 * Safe to call again after any failure: a machine that was already reset is only forgotten.
 */
export async function removeNode(context: RemovalContext): Promise<void> {
  const { node } = context;
  let step = "look" as RemovalStep;
  const begin = (name: RemovalStep): void => {
    step = name;
    throwIfCancelled(node);
    node.timer.start();
    context.step(name);
  };
  let cordoned = false;
  let fate = "not asked" as MachineFate;
  try {
    begin("look");
    const found = await findMachine(context, node.timeouts.contactMs);
    if (found.is === "reset") {
      fate = "reset";
      node.progress.info("was reset by an earlier run; removing it from etcd and Kubernetes");
    } else {
      begin("guard");
      node.gate.requireApproval("leaving");
      refuseOtherNode(context, found);
      await refuseSameMachine(context, found);
      await requireEtcdAllows(context, found.etcdMember);
      begin("drain");
      cordoned = true;
      await drain(node, { kubernetesNode: found.kubernetesNode }, () => undefined);
      begin("reset");
      await noteReset(context, found);
      fate = "asked";
      const asked = await requestReset(context, found);
      cordoned = false;
      begin("wait");
      // A lost request disturbed nothing, so the cordon is lifted.
      await awaitReset(context, found, asked, () => {
        cordoned = true;
        fate = "not asked";
      });
      context.noteReset();
      fate = "reset";
    }
    begin("forget");
    await forgetNode(context, found);
    node.progress.info(
      found.is === "member"
        ? "left the cluster: the machine waits in maintenance mode, and its Node object is deleted"
        : "left the cluster: its Node object is deleted",
    );
  } catch (error) {
    // Refused before the reset was requested.
    if (step === "reset" && error instanceof RemovalError) fate = "not asked";
    const isBack = cordoned && (await uncordonIfOurs(context));
    throw toRemovalError(context, step, error, `${fateText[fate]}${isBack ? " It was uncordoned." : ""}`);
  }
}

/** What happened to the machine. */
type MachineFate = "not asked" | "asked" | "reset";

const fateText: Record<MachineFate, string> = {
  "not asked": "The machine was not reset.",
  asked: "The machine was asked to reset.",
  reset: "The machine was reset; it remains to be removed from etcd and Kubernetes.",
};

function toRemovalError(context: RemovalContext, step: RemovalStep, error: unknown, now: string): unknown {
  const { member, node } = context;
  if (node.signal.aborted) {
    const undone = removalSteps.slice(removalSteps.indexOf(step)).join(", ");
    return new RemovalError(
      member,
      step,
      coded("cancelled", `cancelled; steps left: ${undone}`),
      `${now} The next \`pulumi up\` continues from here.`,
    );
  }
  if (error instanceof RemovalError)
    return hasCode(error.seen, "machine-unverified", "other-node", "same-machine")
      ? error
      : new RemovalError(error.member, error.step, error.seen, `${error.hint} ${now}`);
  if (error instanceof UpgradeError)
    return new RemovalError(member, step, error.seen, `${error.hint} ${now}`);
  if (error instanceof Refused) return new RemovalError(member, step, error.problems, `${error.hint} ${now}`);
  if (!(error instanceof TalosError) && !(error instanceof KubernetesError)) return error;
  const again = `${now} Fix this, then run \`pulumi up\` again: it continues from here.`;
  return new RemovalError(member, step, codedFailure(error), again);
}

/** Machines may have swapped addresses: don't wipe one that identifies itself as a remaining node. */
export function refuseOtherNode({ member, staying }: RemovalContext, found: Member): void {
  const named = staying.find(({ name }) => name === found.kubernetesNode);
  if (named !== undefined && found.kubernetesNode !== member.name) {
    throw new RemovalError(
      member,
      "guard",
      coded(
        "other-node",
        `the machine at ${member.node} reports that it is ${memberLabel(named)}, which stays: addresses have probably moved`,
      ),
      "Nothing was reset. Put the node back, correct the addresses (cluster.nodes[].address), run `pulumi up`, and remove it again.",
    );
  }
}

/** The same address can be written in two ways, and both may have been listed: don't wipe a remaining node's machine. */
async function refuseSameMachine({ member, staying, node }: RemovalContext, found: Member): Promise<void> {
  if (found.bootId === undefined) return;
  const call = { deadlineMs: node.timeouts.probeMs * 2, signal: node.signal };
  const same = await readNodes(staying, async (other) => {
    const bootId = await node
      .peer(other.node)
      .bootId(call)
      .catch((error: unknown) => {
        if (error instanceof TalosError) return undefined;
        throw error;
      });
    return bootId === found.bootId ? [other] : [];
  });
  const [other] = same.flat();
  if (other === undefined) return;
  throw new RemovalError(
    member,
    "guard",
    coded("same-machine", `it is the same machine as ${memberLabel(other)}, which stays`),
    `Nothing was reset. Put ${member.name} back into the settings with onRemove: keep, run \`pulumi up\`, and remove it again.`,
  );
}

/** Requires that etcd allows this node to leave. Transient findings get some time to clear. */
async function requireEtcdAllows(context: RemovalContext, known: string | undefined): Promise<void> {
  const { member, node } = context;
  if (member.role !== "controlplane") return;
  let findings: readonly Finding[] = [];
  await pollUntil(node, node.clock.now() + node.timeouts.guardMs, async () => {
    findings = await etcdFindings(context, known);
    if (findings.length > 0) node.progress.detail(joinProblems(findings));
    return findings.every(({ mayPass }) => !mayPass) ? true : undefined;
  });
  if (findings.length === 0) return;
  throw new RemovalError(member, "guard", joinProblems(findings), joinHints(findings));
}

/** etcd's objections to a control plane leaving. */
export async function etcdFindings(
  context: RemovalContext,
  known: string | undefined,
): Promise<readonly Finding[]> {
  return context.node.gate.look({ kind: "leave", etcdMember: known });
}

/** Requests the reset. @returns the ID in its events; undefined if the answer was lost */
async function requestReset({ member, node }: RemovalContext, found: Member): Promise<string | undefined> {
  try {
    return await node.gate.reset(found, { deadlineMs: node.timeouts.probeMs * 5 });
  } catch (error) {
    if (error instanceof Refused) throw new RemovalError(member, "reset", error.problems, error.hint);
    if (error instanceof NodeRebooted) {
      throw new RemovalError(
        member,
        "reset",
        coded("node-keeps-restarting", error.message),
        "Run `pulumi up` again.",
      );
    }
    // The request may have arrived, or an earlier one is running: the machine's state shows which.
    if (isTransient(error) || (error instanceof TalosError && error.kind === "locked")) return undefined;
    throw error;
  }
}

/**
 * Records on the Node object that a reset is being requested: if this run is killed, the next one finds a machine in maintenance mode and knows why. Without
 * Kubernetes only the state can tell.
 */
async function noteReset({ member, node }: RemovalContext, { kubernetesNode }: Member): Promise<void> {
  const kubernetes = await node.kubernetes();
  if (kubernetes === undefined) return;
  const nodes = await retryKubernetes(node, () => kubernetes.nodes());
  const object = findNode(nodes, kubernetesNode, member.node);
  if (object === undefined) return;
  await retryKubernetes(node, () =>
    kubernetes.patchNode(object.name, { annotations: { [resetAnnotation]: "talos-node" } }),
  );
}

/**
 * Step `wait`: until the machine has forgotten the cluster, or was asked to reset and no longer answers: without its configuration it may have a new address.
 *
 * @param undisturbed called if the request never arrived: the machine is still in the boot in which it was asked
 */
async function awaitReset(
  context: RemovalContext,
  before: Member,
  actor: string | undefined,
  undisturbed: () => void,
): Promise<void> {
  const { node, member } = context;
  const { talos, clock, timeouts, progress, signal } = node;
  const asked = clock.now();
  const watch = new AbortController();
  let failure: string | undefined;
  if (actor !== undefined) {
    void talos
      .upgradeFailure(actor, { signal: AbortSignal.any([signal, watch.signal]) })
      .then((reason) => (failure = reason))
      .catch(() => undefined);
  }
  let last = "no answer";
  let awaySince: number | undefined;
  const fail = (seen: string): RemovalError =>
    new RemovalError(
      member,
      "wait",
      coded("reset-failed", seen),
      `Check the machine's console and ${talosctlCommand("dmesg", member.node)}, then run \`pulumi up\` again.`,
    );
  try {
    const done = await pollUntil(node, node.timer.end, async (): Promise<"reset" | "gone" | undefined> => {
      if (failure !== undefined) throw fail(`the reset failed on the machine: ${failure}`);
      try {
        const call = { deadlineMs: timeouts.probeMs, signal };
        const [machine, bootId] = await Promise.all([talos.machineStatus(call), talos.bootId(call)]);
        awaySince = undefined;
        last = `the machine is ${machine.stage}`;
        if (machine.stage === "running" && bootId !== before.bootId) {
          throw fail("the machine rebooted and still has its configuration");
        }
        if (machine.stage === "running" && clock.now() - asked > timeouts.rebootMs) {
          if (actor === undefined) undisturbed();
          throw fail("the machine was asked to reset and is still running");
        }
      } catch (error) {
        if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
        if (await isInMaintenanceMode(error, talos)) return "reset";
        if ((await untrustedServerCertificate(error, talos)) !== undefined) return "reset";
        if (error.kind === "timeout") talos.reconnect();
        last = error.detail;
        awaySince ??= clock.now();
        // Without its configuration it may get another address, and never answer at this one.
        if (actor !== undefined && clock.now() - awaySince > timeouts.contactMs) {
          progress.warn(
            `was reset and no longer answers at ${member.node}; without its configuration it may have another address: check its console`,
          );
          return "gone";
        }
      }
      progress.detail(last);
      return undefined;
    });
    if (done === undefined) throw fail(`it is not in maintenance mode yet: ${last}`);
  } finally {
    watch.abort();
  }
}

/** Step `forget`: removes its etcd member and its Kubernetes node. The gate checks the machine once more. */
async function forgetNode(context: RemovalContext, found: FoundMachine): Promise<void> {
  const { member, node } = context;
  if (member.role === "controlplane") {
    const known = found.is === "member" ? found.etcdMember : undefined;
    let left: CodedText | undefined = coded("etcd-unreachable", "etcd does not answer");
    await pollUntil(node, node.clock.now() + node.timeouts.guardMs, async () => {
      const report = await readEtcdReport(context, known);
      left =
        report === undefined
          ? coded("etcd-unreachable", "etcd does not answer on any of the remaining control planes")
          : memberLeft(report);
      return left === undefined ? true : undefined;
    });
    if (left !== undefined) {
      const through = context.staying.find(({ role }) => role === "controlplane")?.node ?? member.node;
      throw new RemovalError(
        member,
        "forget",
        left,
        `Remove the member with \`talosctl etcd remove-member <ID> --nodes ${through}\` (ID from ${talosctlCommand("etcd members", through)}), then run \`pulumi up\` again.`,
      );
    }
  }
  const kubernetes = await node.kubernetes();
  if (kubernetes === undefined) return;
  const nodes = await retryKubernetes(node, () => kubernetes.nodes());
  const known = found.is === "member" ? found.kubernetesNode : undefined;
  const object =
    findNode(nodes, known, member.node) ?? nodes.find(({ name, ready }) => name === member.name && !ready);
  if (object === undefined) return;
  try {
    await retryKubernetes(node, () => node.gate.deleteNode(object.name, member.wasReset === true));
  } catch (error) {
    if (error instanceof Refused) throw new RemovalError(member, "forget", error.problems, error.hint);
    throw error;
  }
}

/** After a reset by an earlier run, only the other control planes can tell: any member that none of them has was its own. */
function memberLeft({ leaving, unclaimed, staying }: EtcdReport): CodedText | undefined {
  const isComplete = staying.every(({ etcd }) => !("error" in etcd));
  const left = leaving ?? (isComplete ? unclaimed[0]?.id : undefined);
  return left === undefined ? undefined : coded("etcd-member-left", `etcd still has its member ${left}`);
}

/** The node stays for now: let pods return to it. */
async function uncordonIfOurs({ node, member }: RemovalContext): Promise<boolean> {
  if (node.signal.reason instanceof EngineGone) return false;
  try {
    const kubernetes = await node.kubernetes();
    const object = findNode((await kubernetes?.nodes()) ?? [], member.name, member.node);
    if (kubernetes === undefined || object === undefined) return false;
    const isBack = await releaseNode(kubernetes, object, { installedToo: false });
    if (object.annotations[resetAnnotation] !== undefined)
      await kubernetes.patchNode(object.name, { annotations: { [resetAnnotation]: null } });
    return isBack;
  } catch (error) {
    if (!(error instanceof KubernetesError)) throw error;
    node.progress.warn(`could not be uncordoned: ${error.message}`);
    return false;
  }
}
