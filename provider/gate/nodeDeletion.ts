import type { ErrorCode } from "../../talos/errorCodes.ts";
import { TalosError } from "../../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../../talos/api/talosClient.ts";
import type { Finding } from "../guards/finding.ts";
import { resetAnnotation, type KubernetesNode } from "../kubernetes.ts";
import { untrustedServerCertificate, isInMaintenanceMode } from "../maintenance.ts";

/** What answers at a node's address. `other`: a machine without this cluster's configuration. */
type MachineAtAddress = "member" | "other" | "nothing";

/** Checks what answers at a node's address now. */
export async function findMachineAtAddress(talos: TalosReader, call: CallOptions): Promise<MachineAtAddress> {
  try {
    await talos.machineStatus(call);
    return "member";
  } catch (error) {
    if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    if (await isInMaintenanceMode(error, talos)) return "other";
    if ((await untrustedServerCertificate(error, talos)) !== undefined) return "other";
    // It knows us and refuses: that is an answer.
    return error.kind === "unreachable" || error.kind === "timeout" ? "nothing" : "member";
  }
}

/** What blocks deleting a Node object: pods may still run on its machine, and a second writer on a volume is the worst outcome. */
export function nodeDeletionFindings(
  address: string,
  object: KubernetesNode,
  there: MachineAtAddress,
  wasReset: boolean,
): Finding[] {
  const refuse = (code: ErrorCode, problem: string, hint: string, mayPass = false): Finding[] => [
    { code, problem, hint, mayPass },
  ];
  if (there === "member") {
    return refuse(
      "node-still-member",
      `the machine at ${address} still answers as a member of this cluster, so Node ${object.name} was not deleted`,
      "Check the machine. Run `pulumi up` again once it is reset or off.",
    );
  }
  if (there === "nothing" && object.ready) {
    return refuse(
      "node-still-ready",
      `nothing answers at ${address}, but Kubernetes reports ${object.name} as Ready: pods may still run on it`,
      "Check the machine. Run `pulumi up` again once Kubernetes reports it as not Ready.",
      true,
    );
  }
  if (there === "other" && !wasReset && object.annotations[resetAnnotation] === undefined) {
    return refuse(
      "machine-unverified",
      `the machine at ${address} has no configuration of this cluster, and this stack did not reset it: it may be another machine`,
      `Make sure that the node's own machine is off or wiped, then run \`kubectl delete node ${object.name}\`.`,
    );
  }
  return [];
}
