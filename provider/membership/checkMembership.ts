import { memberSchema, membershipSchema } from "../../talos/inputs/clusterMembership.ts";
import { inputFailures, nodeFailures, type CheckFailure } from "../check.ts";
import type { Properties } from "../secrets.ts";

/** All problems in the inputs of a ClusterMembership. Unknown values are checked in the deployment. */
export function checkMembership({ nodes, ...shared }: Properties): CheckFailure[] {
  return [
    ...inputFailures("ClusterMembership", membershipSchema, shared),
    ...nodeFailures(memberSchema, nodes),
  ];
}
