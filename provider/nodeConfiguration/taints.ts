import { coded, type CodedText } from "../../talos/errorCodes.ts";
import type { NodeConfigurationInputs } from "../../talos/inputs/nodeConfiguration.ts";
import { nodeLabel } from "../inputs.ts";

/** Changed lines of a node's taints, in either form. */
const taintLine = /^[-+~] (machine\.nodeTaints|KubeNodeConfig\.taints)\b/;

/**
 * Talos updates a worker's Node object with the kubelet's credentials, and NodeRestriction refuses an update that changes taints, the labels in it too. Only
 * when it joins may a worker set taints. Undefined if the change has none.
 */
export function taintWarning(
  wanted: Pick<NodeConfigurationInputs, "name" | "node" | "role">,
  lines: readonly string[],
): CodedText | undefined {
  if (wanted.role !== "worker" || !lines.some((line) => taintLine.test(line))) return undefined;
  return coded(
    "node-taints",
    `${nodeLabel(wanted)}: a running worker cannot change its own taints (NodeRestriction), nor its labels until its taints match`,
    "Change them with `kubectl taint nodes` as well.",
  );
}
