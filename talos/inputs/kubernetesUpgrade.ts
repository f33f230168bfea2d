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
  storageGateSchema,
  textSchema,
} from "./fields.ts";
import { pinnedSchema } from "./hops.ts";
import { rolloutPolicySchema } from "./rolloutPolicy.ts";

const releaseText = 'a Kubernetes release such as "v1.35.4"';
const kubernetesReleaseSchema = z
  .string(must(releaseText))
  .regex(/^v\d+\.\d+\.\d+(-(alpha|beta|rc)\.\d+)?$/, must(releaseText));

/** A node that takes part in the Kubernetes upgrade. */
export const kubernetesNodeSchema = z.strictObject({
  name: textSchema,
  node: hostSchema,
  role: roleSchema,
  /** Its desired Talos release, which the preview uses. */
  talosVersion: textSchema.exactOptional(),
  /** Components whose image its owner's patches set: they are left alone. */
  pinned: pinnedSchema.default([]),
});

/** The inputs of a KubernetesUpgrade without its nodes, which are a list or a map. */
export const kubernetesUpgradeSchema = z.strictObject({
  kubernetesVersion: kubernetesReleaseSchema,
  clientConfiguration: credentialsSchema,
  kubeconfig: kubeconfigSchema,
  /** Releases to go through first if the cluster is more than one minor release behind, one per minor. */
  through: z.array(kubernetesReleaseSchema, must("a list of Kubernetes releases")).default([]),
  endpoints: endpointsSchema.exactOptional(),
  drain: drainSchema.prefault({}),
  storageGate: storageGateSchema.prefault({}),
  timeoutSeconds: secondsSchema.default(1800),
  /** Pull all images on all nodes before the first component changes. */
  prePull: flagSchema.default(true),
  /** Continue even if something still uses APIs that the desired release doesn't have. */
  acceptRemovedApis: flagSchema.default(false),
  /** Descriptions of declared objects whose API the desired release doesn't have. */
  removedObjects: z.array(z.string(must("a string")), must("a list of strings")).default([]),
  rollout: rolloutPolicySchema.prefault({}),
  /** As for a NodeUpgrade. */
  approval: recordSchema.exactOptional(),
});
