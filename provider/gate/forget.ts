import { TalosError } from "../../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../../talos/api/talosClient.ts";
import type { Finding } from "../guards/finding.ts";
import { resetAsked, type KubernetesNode } from "../kubernetes.ts";
import { strangersCertificate, waitsWithoutConfiguration } from "../maintenance.ts";

/** What is at a node's address. `other`: a machine without this cluster's configuration. */
type There = "member" | "other" | "nothing";

/** Looks what is at a node's address now. */
export async function machineThere(talos: TalosReader, call: CallOptions): Promise<There> {
  try {
    await talos.machineStatus(call);
    return "member";
  } catch (error) {
    if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    if (await waitsWithoutConfiguration(error, talos)) return "other";
    if ((await strangersCertificate(error, talos)) !== undefined) return "other";
    // It knows us, and refuses: that is an answer.
    return error.kind === "unreachable" || error.kind === "timeout" ? "nothing" : "member";
  }
}

/** What stands against deleting a Node object: pods may run on its machine, and a second writer on a volume is the worst that can happen. */
export function forgetFindings(
  address: string,
  object: KubernetesNode,
  there: There,
  wasReset: boolean,
): Finding[] {
  const refuse = (problem: string, hint: string, mayPass = false): Finding[] => [{ problem, hint, mayPass }];
  if (there === "member") {
    return refuse(
      `the machine at ${address} answers as a member of this cluster, so that ${object.name} is not deleted`,
      "Look at the machine. Run `pulumi up` again when it was reset or is off.",
    );
  }
  if (there === "nothing" && object.ready) {
    return refuse(
      `nothing answers at ${address}, but Kubernetes says that ${object.name} is Ready: pods may run on it`,
      "Look at the machine. Run `pulumi up` again when Kubernetes says that it is not Ready.",
      true,
    );
  }
  if (there === "other" && !wasReset && object.annotations[resetAsked] === undefined) {
    return refuse(
      `the machine at ${address} has no configuration of this cluster, and nobody has reset it here: it may be another one`,
      `Make sure that the node's own machine is off or wiped, then \`kubectl delete node ${object.name}\`.`,
    );
  }
  return [];
}
