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

/** A node whose Kubernetes is upgraded. */
export const kubernetesNodeSchema = z.strictObject({
  name: textSchema,
  node: hostSchema,
  role: roleSchema,
  /** The Talos release that it is to run: what the preview judges by. */
  talosVersion: textSchema.exactOptional(),
  /** Components whose image the patches of its owner set: they are left alone. */
  pinned: pinnedSchema.default([]),
});

/** The inputs of a KubernetesUpgrade but for its nodes, which are listed or named. */
export const kubernetesUpgradeSchema = z.strictObject({
  kubernetesVersion: kubernetesReleaseSchema,
  clientConfiguration: credentialsSchema,
  kubeconfig: kubeconfigSchema,
  /** Releases to go through first where the cluster is more than one minor release behind, one of each minor. */
  through: z.array(kubernetesReleaseSchema, must("a list of Kubernetes releases")).default([]),
  endpoints: endpointsSchema.exactOptional(),
  drain: drainSchema.prefault({}),
  storageGate: storageGateSchema.prefault({}),
  timeoutSeconds: secondsSchema.default(1800),
  /** Fetch all images on all nodes before the first component changes. */
  prePull: flagSchema.default(true),
  /** Go on although something still uses APIs that the wanted release does not have. */
  acceptRemovedApis: flagSchema.default(false),
  /** Objects that the program declares and whose API the wanted release does not have, in words. */
  removedObjects: z.array(z.string(must("a text")), must("a list of texts")).default([]),
  rollout: rolloutPolicySchema.prefault({}),
  /** As for a NodeUpgrade. */
  approval: recordSchema.exactOptional(),
});
