import type { z } from "zod";
import { withDefaults } from "../../talos/inputs/defaults.ts";
import { kubernetesNodeSchema, kubernetesUpgradeSchema } from "../../talos/inputs/kubernetesUpgrade.ts";
import { nodesByName } from "../../talos/nodesByName.ts";
import { inputFailures, nodeFailures, type CheckFailure } from "../check.ts";
import { hasUnknown, type Properties } from "../secrets.ts";

/** A node whose Kubernetes is upgraded. */
export type KubernetesNodeInputs = z.output<typeof kubernetesNodeSchema>;

/** The inputs of a KubernetesUpgrade, every default filled in. Control planes come first among the nodes. */
export interface KubernetesUpgradeInputs extends z.output<typeof kubernetesUpgradeSchema> {
  nodes: KubernetesNodeInputs[];
}

/** All that is wrong with the inputs. A value that only the deployment will know is left for then; no secret is shown. */
export function checkKubernetesUpgrade({ nodes, ...shared }: Properties): CheckFailure[] {
  const failures = [
    ...inputFailures("KubernetesUpgrade", kubernetesUpgradeSchema, shared),
    ...nodeFailures(kubernetesNodeSchema, nodes),
  ];
  const hasControlPlane = nodesByName(nodes).some(([, { role }]) => role === "controlplane");
  return failures.length > 0 || hasUnknown(nodes) || hasControlPlane
    ? failures
    : [{ property: "nodes", reason: "[nodes] has no control plane" }];
}

/** Inputs that `checkKubernetesUpgrade` has passed, with the defaults. */
export function kubernetesUpgradeInputs(checked: Properties): KubernetesUpgradeInputs {
  const nodes = nodesByName(checked["nodes"]).map(([, node]) => withDefaults(kubernetesNodeSchema, node));
  return { ...withDefaults(kubernetesUpgradeSchema, checked), nodes };
}
