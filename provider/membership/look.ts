import { TalosError } from "../../talos/api/errors.ts";
import { waitFor } from "../context.ts";
import { etcdWithout } from "../gate/leave.ts";
import { strangersCertificate } from "../maintenance.ts";
import { RemovalError, type RemovalContext } from "./context.ts";
import type { EtcdReport } from "./quorum.ts";

/** The machine of a node that leaves. */
export type Found =
  | {
      is: "member";
      bootId: string | undefined;
      kubernetesNode: string | undefined;
      /** Its id in etcd; undefined for a worker, and where its etcd does not run. */
      etcdMember: string | undefined;
    }
  /** What answers at the address has no certificate of this cluster: reset already, or another machine. */
  | { is: "stranger"; why: string };

/** Step `look`: what is at the node's address? A machine that is on its way down or up is waited for. */
export async function look(context: RemovalContext, patienceMs: number): Promise<Found> {
  const { node } = context;
  const { talos, clock, patience, progress, signal } = node;
  let last = "no answer";
  const found = await waitFor(node, clock.now() + patienceMs, async (): Promise<Found | undefined> => {
    const call = { deadlineMs: patience.probeMs * 2, signal };
    try {
      const machine = await talos.machineStatus(call);
      if (machine.stage !== "running") {
        last = `the machine is ${machine.stage}`;
        progress.detail(last);
        return undefined;
      }
      const [bootId, kubernetesNode, etcdMember] = await Promise.all([
        talos.bootId(call),
        talos.kubernetesNode(call),
        context.member.role === "controlplane" ? memberId(context) : undefined,
      ]);
      return { is: "member", bootId, kubernetesNode, etcdMember };
    } catch (error) {
      if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
      const why = await strangersCertificate(error, talos);
      if (why !== undefined) return { is: "stranger", why };
      if (error.kind === "timeout") talos.reconnect();
      last = `the Talos API at ${context.member.node} cannot be used: ${error.detail}`;
      progress.detail(last);
      return undefined;
    }
  });
  if (found !== undefined) return found;
  throw new RemovalError(context.member, "look", last, letGo(context));
}

/** How to let a machine go that cannot be reset. */
function letGo({ member }: RemovalContext): string {
  const keep =
    member.onRemove === undefined
      ? "set cluster.onRemove: keep for this `pulumi up`"
      : `put ${member.name} back into the settings with onRemove: keep, run \`pulumi up\`, and take it out again`;
  const etcd =
    member.role === "controlplane"
      ? ", `talosctl etcd remove-member` with its id from `talosctl etcd members`"
      : "";
  return (
    `Switch it on and run \`pulumi up\` again. If it is gone for good: ${keep}; then tell the cluster that it is gone` +
    `${etcd} and \`kubectl delete node ${member.name}\`.`
  );
}

async function memberId({ node }: RemovalContext): Promise<string | undefined> {
  try {
    const { memberId } = await node.talos.etcdStatus({
      deadlineMs: node.patience.probeMs * 2,
      signal: node.signal,
    });
    return memberId;
  } catch (error) {
    // Its etcd does not run: then its id comes from the list of members.
    if (error instanceof TalosError && error.kind !== "cancelled") return undefined;
    throw error;
  }
}

/** etcd without the node, as the control planes that stay see it; undefined while none of them answers. */
export async function etcdReport(
  { member, node, staying }: RemovalContext,
  known: string | undefined,
): Promise<EtcdReport | undefined> {
  const controlPlanes = staying.filter(({ role }) => role === "controlplane").map((other) => other.node);
  const call = { deadlineMs: node.patience.probeMs * 2, signal: node.signal };
  return etcdWithout({ node: member, controlPlanes, reader: node.peer }, known, call);
}
