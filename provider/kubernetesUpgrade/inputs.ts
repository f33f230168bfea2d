import type { z } from "zod";
import { withDefaults } from "../../talos/inputs/defaults.ts";
import { kubernetesNodeSchema, kubernetesUpgradeSchema } from "../../talos/inputs/kubernetesUpgrade.ts";
import { nodesByName } from "../../talos/nodesByName.ts";
import { inputFailures, nodeFailures, type CheckFailure } from "../check.ts";
import { hasUnknown, type Properties } from "../secrets.ts";

/** A node that takes part in the Kubernetes upgrade. */
export type KubernetesNodeInputs = z.output<typeof kubernetesNodeSchema>;

/** The inputs of a KubernetesUpgrade with all defaults. Control planes come first. */
export interface KubernetesUpgradeInputs extends z.output<typeof kubernetesUpgradeSchema> {
  nodes: KubernetesNodeInputs[];
}

/** All problems in the inputs. Unknown values are checked in the deployment; no secret is shown. */
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

/** Inputs that passed `checkKubernetesUpgrade`, with defaults. */
export function kubernetesUpgradeInputs(checked: Properties): KubernetesUpgradeInputs {
  const nodes = nodesByName(checked["nodes"]).map(([, node]) => withDefaults(kubernetesNodeSchema, node));
  return { ...withDefaults(kubernetesUpgradeSchema, checked), nodes };
}
