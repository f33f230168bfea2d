import { memberSchema, membershipSchema } from "../../talos/inputs/clusterMembership.ts";
import { inputFailures, nodeFailures, type CheckFailure } from "../check.ts";
import type { Properties } from "../secrets.ts";

/** All that is wrong with the inputs of a ClusterMembership. A value that only the deployment will know is left for then. */
export function checkMembership({ nodes, ...shared }: Properties): CheckFailure[] {
  return [
    ...inputFailures("ClusterMembership", membershipSchema, shared),
    ...nodeFailures(memberSchema, nodes),
  ];
}
