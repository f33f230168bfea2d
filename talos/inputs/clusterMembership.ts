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
  textsSchema,
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

/** A CSI driver that the program deploys, and what decides where it looks for its volumes. */
export const deployedDriverSchema = z.object({
  /** Its section of the settings. */
  section: textSchema,
  /** The one pool that all its volumes are in. */
  pool: textSchema.exactOptional(),
  /** The first part of its targets' names. */
  targetPrefix: textSchema.exactOptional(),
  /** The arrays that its volumes are on. */
  arrays: textsSchema.exactOptional(),
});

export type DeployedDriver = z.output<typeof deployedDriverSchema>;

/** Drivers by their CSI name. */
export const deployedDriversSchema = z.record(z.string(), deployedDriverSchema, must("drivers by name"));

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
  /** Absent: none. */
  drivers: deployedDriversSchema.exactOptional(),
  /** Names of drivers whose volumes are given up. Not kept in the state. */
  acceptDriverChanges: textsSchema.exactOptional(),
  preview: flagSchema.exactOptional(),
});
