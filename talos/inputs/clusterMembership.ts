import { z } from "zod";
import {
  credentialsSchema,
  drainSchema,
  endpointsSchema,
  flagSchema,
  hostSchema,
  kubeconfigSchema,
  must,
  recordSchema,
  roleSchema,
  secondsSchema,
  textSchema,
} from "./fields.ts";

export const onRemoveSchema = z.enum(["keep", "reset"], must('"keep" or "reset"'));

/** A node of the cluster, as far as leaving it is concerned. */
export const memberSchema = z.object({
  name: textSchema,
  /** Address of its Talos API. */
  node: hostSchema,
  role: roleSchema,
  /** Absent: what the cluster says. */
  onRemove: onRemoveSchema.exactOptional(),
});

/** The inputs of a ClusterMembership but for its nodes, which are listed or named: each is a member. */
export const membershipSchema = z.strictObject({
  clientConfiguration: credentialsSchema,
  onRemove: onRemoveSchema.default("keep"),
  /** Where nodes are reached that are not at their own addresses. */
  endpoints: endpointsSchema.exactOptional(),
  kubeconfig: kubeconfigSchema.exactOptional(),
  drain: drainSchema.prefault({}),
  timeoutSeconds: secondsSchema.default(1800),
  /** As for a NodeUpgrade. */
  approval: recordSchema.exactOptional(),
  preview: flagSchema.exactOptional(),
});
