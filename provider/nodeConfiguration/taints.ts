import { coded, type CodedText } from "../../talos/errorCodes.ts";
import type { NodeConfigurationInputs } from "../../talos/inputs/nodeConfiguration.ts";
import { nodeLabel } from "../inputs.ts";

/** Changed lines of a node's taints: those that only the kubelet reads when it joins, and those that Talos keeps trying to set. */
const taintLine =
  /^[-+~] (machine\.kubelet\.extraConfig\.registerWithTaints|machine\.nodeTaints|KubeNodeConfig\.taints)\b/;
const setByTalos = /^[-+~] (machine\.nodeTaints|KubeNodeConfig\.taints)\b/;

/**
 * A worker may set taints only when it joins. Talos updates its Node object with the kubelet's credentials, and NodeRestriction refuses an update that changes
 * taints, the labels in it too. Undefined if the change has none.
 */
export function taintWarning(
  wanted: Pick<NodeConfigurationInputs, "name" | "node" | "role">,
  lines: readonly string[],
): CodedText | undefined {
  if (wanted.role !== "worker" || !lines.some((line) => taintLine.test(line))) return undefined;
  const labels = lines.some((line) => setByTalos.test(line)) ? ", nor its labels until its taints match" : "";
  return coded(
    "node-taints",
    `${nodeLabel(wanted)}: a running worker cannot change its own taints (NodeRestriction)${labels}`,
    "Change them with `kubectl taint nodes` as well.",
  );
}
