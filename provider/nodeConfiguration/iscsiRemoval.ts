import { coded, type CodedText } from "../../talos/errorCodes.ts";
import { withoutIscsiLabel } from "../../talos/iscsi.ts";
import { nodeLabel } from "../inputs.ts";
import { describeLeft, listFirst } from "../storage/describe.ts";
import { ownDrivers } from "../storage/storageNote.ts";
import { isApiError, readAttachedVolumes, type KubeletLook } from "./kubelet.ts";

/** Whether the change gives the node the label of `iscsi: false`. The DaemonSet controller then removes the drivers' pods from it at once. */
function removesIscsi(lines: readonly string[]): boolean {
  return lines.some((line) => /^[+~] /.test(line) && line.includes(`.${withoutIscsiLabel.key}: `));
}

/** Why a node must keep its drivers: nothing else can unmount its volumes. Undefined if it has none. */
export async function iscsiRemovalProblem(
  look: KubeletLook,
  lines: readonly string[],
): Promise<CodedText | undefined> {
  if (!removesIscsi(lines)) return undefined;
  const label = nodeLabel(look.wanted);
  const change = "iscsi: false removes the CSI drivers from the node";
  try {
    const { node, attachments, volumes, pods } = await readAttachedVolumes(look);
    const own = attachments.filter(({ driver }) => ownDrivers.includes(driver));
    const entries = describeLeft({ attachments: own, inUse: [], sessions: [] }, volumes, pods);
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
