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

/** A node of the cluster, as needed for its removal. */
export const memberSchema = z.object({
  name: textSchema,
  /** Address of its Talos API. */
  node: hostSchema,
  role: roleSchema,
  /** Absent: the cluster's setting. */
  onRemove: onRemoveSchema.exactOptional(),
});

/** The inputs of a ClusterMembership without its nodes, which are a list or a map of members. */
export const membershipSchema = z.strictObject({
  clientConfiguration: credentialsSchema,
  onRemove: onRemoveSchema.default("keep"),
  /** Endpoints of nodes that are not reached at their own addresses. */
  endpoints: endpointsSchema.exactOptional(),
  kubeconfig: kubeconfigSchema.exactOptional(),
  drain: drainSchema.prefault({}),
  timeoutSeconds: secondsSchema.default(1800),
  /** As for a NodeUpgrade. */
  approval: recordSchema.exactOptional(),
  preview: flagSchema.exactOptional(),
});
