import type { StackValidationPolicy } from "@pulumi/policy";
import { byCluster } from "./clusters.ts";
import { nodeUpgradeType } from "./types.ts";

/** etcd needs a majority: a fourth member adds one more that may fail to the count, and none that may be lost. */
export const oddControlPlanes: StackValidationPolicy = {
  name: "odd-control-planes",
  displayName: "An odd number of control planes",
  description: "etcd tolerates as many failures with three members as with four.",
  enforcementLevel: "mandatory",
  severity: "medium",
  remediationSteps: "Add or remove a control plane in cluster.nodes: 1, 3 or 5 in total.",
  validateStack: ({ resources }, reportViolation) => {
    const controlPlanes = resources.filter(
      ({ type, props }) => type === nodeUpgradeType && props["role"] === "controlplane",
    );
    for (const members of byCluster(controlPlanes)) {
      const names = members.map(({ props, name }) =>
        typeof props["name"] === "string" ? props["name"] : name,
      );
      if (names.length === 0 || names.length % 2 === 1) continue;
      reportViolation(
        `The cluster has ${names.length} control planes (${names.join(", ")}). With ${names.length} members etcd survives the loss of no more of them than with ` +
          `${names.length - 1}. Make it ${names.length - 1} or ${names.length + 1} in cluster.nodes.`,
      );
    }
  },
};
