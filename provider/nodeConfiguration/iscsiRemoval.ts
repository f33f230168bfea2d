import { coded, type CodedText } from "../../talos/errorCodes.ts";
import { withoutIscsiLabel } from "../../talos/iscsi.ts";
import { fetchKubeconfig } from "../fetchKubeconfig.ts";
import { nodeLabel } from "../inputs.ts";
import { findNode } from "../steps/drain.ts";
import { describeLeft, listFirst } from "../storage/describe.ts";
import { ownDrivers } from "../storage/storageNote.ts";
import { isApiError, type KubeletLook } from "./kubelet.ts";

/** Does the change give the node the label of `iscsi: false`? The DaemonSet controller then removes the drivers' pods from it at once. */
function removesIscsi(lines: readonly string[]): boolean {
  return lines.some((line) => /^[+~] /.test(line) && line.includes(`.${withoutIscsiLabel.key}: `));
}

/** Why a node must keep its drivers: nothing else can unmount the volumes that are on it. Undefined where there are none. */
export async function iscsiRemovalProblem(
  { surroundings, signal, wanted, connections }: KubeletLook,
  lines: readonly string[],
): Promise<CodedText | undefined> {
  if (!removesIscsi(lines)) return undefined;
  const call = { deadlineMs: surroundings.patience.probeMs * 2, signal };
  const talos = connections.to(wanted.node);
  const label = nodeLabel(wanted);
  const change = "iscsi: false removes the CSI drivers from the node";
  try {
    const [own, kubeconfig] = await Promise.all([
      talos.kubernetesNode(call),
      fetchKubeconfig((address) => connections.to(address), wanted.controlPlanes, call),
    ]);
    const kubernetes = await surroundings.connectKubernetes(kubeconfig);
    const node = findNode(await kubernetes.nodes(), own, wanted.node)?.name ?? own ?? "";
    const [attached, volumes, pods] = await Promise.all([
      kubernetes.storage.attachments.list(),
      kubernetes.storage.volumes(),
      kubernetes.podsOn(node).list(),
    ]);
    const attachments = attached.objects.filter(
      (one) => one.node === node && ownDrivers.includes(one.driver),
    );
    const entries = describeLeft({ attachments, inUse: [], sessions: [] }, volumes, pods.objects);
    if (entries.length === 0) return undefined;
    return coded(
      "iscsi-removal",
      `${label}: ${change}, and nothing could unmount its volumes: ${listFirst(entries)}`,
      `Run \`kubectl drain ${node} --ignore-daemonsets --delete-emptydir-data\`, then \`pulumi up\`, then \`kubectl uncordon ${node}\`.`,
    );
  } catch (error) {
    if (!isApiError(error)) throw error;
    return coded(
      "volumes-unknown",
      `${label}: ${change}, and the volumes on it could not be read: ${error.message}`,
      "Run `pulumi up` again when the node and the Kubernetes API answer.",
    );
  }
}
