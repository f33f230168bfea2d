import type { Problem } from "../components/csi/problems.ts";
import { Configuration } from "../talos/configuration.ts";
import { isTreeMap, treeAt, type TreeMap } from "../talos/configTree.ts";
import { joinsWithTaints } from "../talos/features.ts";
import { withoutIscsiLabel } from "../talos/iscsi.ts";
import { labelProblem, taintProblem } from "../talos/nodeMetadata.ts";
import { givenNodes, givenTexts, type GivenNode, type GivenSettings } from "./given.ts";
import { poolsWithoutNodes } from "./pools.ts";

/** Labels and taints that Talos sets on its own Kubernetes node: what it can set, and what Kubernetes refuses. */

// Labels in Kubernetes domains that a kubelet may set on its own node (kubernetes plugin/pkg/admission/noderestriction).
const allowedLabels = new Set([
  "kubernetes.io/hostname",
  "kubernetes.io/arch",
  "kubernetes.io/os",
  "beta.kubernetes.io/arch",
  "beta.kubernetes.io/os",
  "beta.kubernetes.io/instance-type",
  "node.kubernetes.io/instance-type",
  "failure-domain.beta.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
  "topology.kubernetes.io/region",
  "topology.kubernetes.io/zone",
]);

/** May a worker set this label on its own node? Talos uses the worker's kubelet credentials, which NodeRestriction limits. */
function workerMayLabel(key: string): boolean {
  const [domain = ""] = key.includes("/") ? key.split("/") : [];
  const within = (suffix: string) => domain === suffix || domain.endsWith(`.${suffix}`);
  if (allowedLabels.has(key) || within("kubelet.kubernetes.io")) return true;
  if (within("node.kubernetes.io")) return true;
  return !within("kubernetes.io") && !within("k8s.io");
}

/** Checks the labels and taints of nodes, and of pools without any. @param given settings with pools expanded */
export function checkLabels(given: GivenSettings, problems: Problem[]): void {
  const nodes = givenNodes(given).map((node, index) => ({ path: `cluster.nodes[${index}]`, node }));
  const pools = poolsWithoutNodes(given).map(({ path, pool }) => ({ path, node: pool }));
  for (const { path, node } of [...nodes, ...pools]) {
    const worker = node.role === "worker";
    for (const [key, text] of Object.entries(givenTexts(node.labels))) {
      const reason = settingProblem(key, text, worker);
      if (reason !== undefined) problems.push({ path: `${path}.labels.${key}`, reason });
    }
    for (const [key, text] of Object.entries(givenTexts(node.taints))) {
      const reason = taintProblem(key, text);
      if (reason !== undefined) problems.push({ path: `${path}.taints.${key}`, reason });
    }
  }
}

/**
 * Why Talos may not set the labels that the settings give a worker: it sets all labels and taints in one update, which NodeRestriction refuses as a whole.
 * What the node already has is no change, so these are warnings. @param merged the node's configuration, with all patches
 */
export function refusedUpdates(node: GivenNode, contract: string, merged: readonly TreeMap[]): string[] {
  const needsLabels = Object.keys(node.labels ?? {}).length > 0 || node.iscsi === false;
  if (node.role !== "worker" || !needsLabels) return [];
  const config = new Configuration(merged);
  const [document] = config.of("KubeNodeConfig");
  const labels = document === undefined ? config.at("machine", "nodeLabels") : treeAt(document, "labels");
  const refused = isTreeMap(labels) ? [...labels.keys()].filter((key) => !workerMayLabel(key)) : [];
  const taints = joinsWithTaints(contract) ? undefined : config.at("machine", "nodeTaints");
  const consequence = "and with it every label of the settings, unless the node has it already";
  return [
    ...refused.map(
      (key) =>
        `NodeRestriction refuses the label ${key} of a patch or file, ${consequence}; remove it there, and use kubectl label`,
    ),
    ...(isTreeMap(taints) ? [...taints.keys()] : []).map(
      (key) =>
        `NodeRestriction refuses the taint ${key} in machine.nodeTaints, ${consequence}; move it to the node's or pool's taints`,
    ),
  ];
}

function settingProblem(key: string, text: string, worker: boolean): string | undefined {
  const problem = labelProblem(key, text);
  if (problem !== undefined) return problem;
  if (key === withoutIscsiLabel.key) return "is set by this program; use the node's iscsi setting";
  if (worker && !workerMayLabel(key))
    return "is in a Kubernetes domain where a worker may not set its own labels (NodeRestriction), so Talos could not change any of its labels; use another domain, or kubectl label";
  return undefined;
}
