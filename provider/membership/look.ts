import { coded } from "../../talos/errorCodes.ts";
import { TalosError } from "../../talos/api/errors.ts";
import { pollUntil } from "../context.ts";
import { etcdSeenByOthers } from "../gate/etcdLeave.ts";
import { KubernetesError, resetAnnotation, type KubernetesNode } from "../kubernetes.ts";
import { talosctlCommand } from "../talosctl.ts";
import { hintForUnanswered } from "../unansweredHint.ts";
import { untrustedServerCertificate, isInMaintenanceMode } from "../maintenance.ts";
import { findNode } from "../steps/drain.ts";
import { RemovalError, type RemovalContext } from "./context.ts";
import type { EtcdReport } from "./quorum.ts";

/** The machine of a leaving node. */
export type FoundMachine =
  | {
      is: "member";
      bootId: string | undefined;
      kubernetesNode: string | undefined;
      /** Its etcd member ID; undefined for a worker, and if its etcd doesn't run. */
      etcdMember: string | undefined;
    }
  /** An earlier run has reset it. */
  | { is: "reset" };

/** Step `look`: finds out what answers at the node's address. Waits for a machine that is shutting down or booting. */
export async function findMachine(context: RemovalContext, patienceMs: number): Promise<FoundMachine> {
  const { node } = context;
  const { talos, clock, timeouts, progress, signal } = node;
  let last = coded("node-unreachable", "no answer");
  const found = await pollUntil(
    node,
    clock.now() + patienceMs,
    async (): Promise<FoundMachine | undefined> => {
      const call = { deadlineMs: timeouts.probeMs * 2, signal };
      try {
        const machine = await talos.machineStatus(call);
        if (machine.stage !== "running") {
          last = coded("machine-not-ready", `the machine is ${machine.stage}`);
          progress.detail(last);
          return undefined;
        }
        const [bootId, kubernetesNode, etcdMember] = await Promise.all([
          talos.bootId(call),
          talos.kubernetesNode(call),
          context.member.role === "controlplane" ? findEtcdMemberId(context) : undefined,
        ]);
        return { is: "member", bootId, kubernetesNode, etcdMember };
      } catch (error) {
        if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
        if (await isInMaintenanceMode(error, talos)) {
          const object = await readNodeObject(context);
          if (context.member.wasReset === true || object?.annotations[resetAnnotation] !== undefined)
            return { is: "reset" };
          throw unverifiedMachineError(context, "maintenance", "it is in maintenance mode", object);
        }
        const why = await untrustedServerCertificate(error, talos);
        if (why !== undefined) {
          const object = await readNodeObject(context);
          // A machine entering maintenance mode has a new certificate before it accepts unauthenticated calls.
          if (context.member.wasReset === true || object?.annotations[resetAnnotation] !== undefined)
            return { is: "reset" };
          throw unverifiedMachineError(context, "certificate", why, object);
        }
        if (error.kind === "timeout") talos.reconnect();
        last = coded(
          "node-unreachable",
          `the Talos API at ${context.member.node} cannot be used: ${error.detail}`,
        );
        progress.detail(last);
        return undefined;
      }
    },
  );
  if (found !== undefined) return found;
  if (context.member.wasReset === true) return { is: "reset" };
  throw new RemovalError(
    context.member,
    "look",
    last,
    `${hintForUnanswered(last)} Then run \`pulumi up\` again. If the machine is gone for good: ${manualRemovalHint(context)}`,
  );
}

/** Its Node object, as far as it can be read now. */
async function readNodeObject({ member, node }: RemovalContext): Promise<KubernetesNode | undefined> {
  try {
    const kubernetes = await node.kubernetes();
    return findNode((await kubernetes?.nodes()) ?? [], member.name, member.node);
  } catch (error) {
    if (error instanceof KubernetesError) return undefined;
    throw error;
  }
}

/**
 * Something answers at the address, and nothing proves that it is the node's machine: it is not reset, and the node is not removed. Pods may still run on the
 * real machine, and two writers on one volume are the worst outcome.
 */
function unverifiedMachineError(
  context: RemovalContext,
  way: "maintenance" | "certificate",
  why: string,
  object: KubernetesNode | undefined,
): RemovalError {
  const { member } = context;
  const says =
    object === undefined
      ? "Kubernetes does not know it"
      : `Kubernetes reports ${object.name} as ${object.ready ? "Ready" : "not Ready"}`;
  const [cause, verify] =
    way === "maintenance"
      ? [
          `the machine at ${member.node} is in maintenance mode: someone else reset or reinstalled it, or another machine has the address; ${says}`,
          `bring the node's machine back to ${member.node}`,
        ]
      : object?.ready === true
        ? [
            `the machine at ${member.node} has a certificate of another CA (${why.replace(/\.$/, "")}), and ${says}: the cluster's CA was probably rotated`,
            "give the stack the new CA and credentials (cluster.secrets)",
          ]
        : [
            `the machine at ${member.node} has a certificate of another CA (${why.replace(/\.$/, "")}), and ${says}: another machine probably has the address`,
            `bring the node's machine back to ${member.node}, or correct the address`,
          ];
  return new RemovalError(
    member,
    "look",
    coded("machine-unverified", cause),
    `It cannot be verified, so nothing was reset or deleted. To reset it: ${verify}, and run \`pulumi up\` again. To leave it as it is: make sure that it is off or wiped, then ${manualRemovalHint(context)}`,
  );
}

/** How to remove a machine that can't be reset. */
function manualRemovalHint({ member, staying }: RemovalContext): string {
  const keep =
    member.onRemove === undefined
      ? "set cluster.onRemove: keep for this `pulumi up`"
      : `put ${member.name} back into the settings with onRemove: keep, run \`pulumi up\`, and remove it again`;
  const through = staying.find(({ role }) => role === "controlplane")?.node ?? member.node;
  const etcd =
    member.role === "controlplane"
      ? ` with \`talosctl etcd remove-member <ID> --nodes ${through}\` (ID from ${talosctlCommand("etcd members", through)})`
      : "";
  return `${keep}; then remove it from the cluster${etcd === "" ? " with" : `${etcd} and`} \`kubectl delete node ${member.name}\`.`;
}

async function findEtcdMemberId(context: RemovalContext): Promise<string | undefined> {
  const { node } = context;
  try {
    const { memberId } = await node.talos.etcdStatus({
      deadlineMs: node.timeouts.probeMs * 2,
      signal: node.signal,
    });
    return memberId;
  } catch (error) {
    if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    // Its etcd doesn't run. Talos then resets the machine without taking it out of etcd (siderolabs/talos v1.13 v1alpha1_sequencer_tasks.go LeaveEtcd).
    const report = await readEtcdReport(context, undefined);
    const [only, ...more] = report?.unclaimed ?? [];
    return report?.leaving ?? (more.length === 0 ? only?.id : undefined);
  }
}

/** etcd without the node, as the remaining control planes see it; undefined if none of them answers. */
export async function readEtcdReport(
  { member, node, staying }: RemovalContext,
  known: string | undefined,
): Promise<EtcdReport | undefined> {
  const controlPlanes = staying.filter(({ role }) => role === "controlplane").map((other) => other.node);
  const call = { deadlineMs: node.timeouts.probeMs * 2, signal: node.signal };
  return etcdSeenByOthers({ node: member, controlPlanes, reader: node.peer }, known, call);
}
