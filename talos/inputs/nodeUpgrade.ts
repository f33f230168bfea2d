import { z } from "zod";
import {
  credentialsSchema,
  drainSchema,
  endpointsSchema,
  etcdSnapshotSchema,
  flagSchema,
  hostSchema,
  kubeconfigSchema,
  recordSchema,
  releaseSchema,
  roleSchema,
  schematicSchema,
  secondsSchema,
  storageGateSchema,
  textSchema,
  textsSchema,
} from "./fields.ts";
import { rolloutPolicySchema } from "./rolloutPolicy.ts";

/** The inputs of a NodeUpgrade. */
export const nodeUpgradeSchema = z.strictObject({
  /** For messages: `cp1`. */
  name: textSchema,
  node: hostSchema,
  role: roleSchema,
  talosVersion: releaseSchema,
  schematicId: schematicSchema,
  image: textSchema,
  controlPlanes: textsSchema,
  clientConfiguration: credentialsSchema,
  /** The image's name in the settings; only a preflight's nodes have it. */
  imageName: textSchema.exactOptional(),
  endpoint: textSchema.exactOptional(),
  endpoints: endpointsSchema.exactOptional(),
  extensions: textsSchema.default([]),
  services: textsSchema.default([]),
  files: textsSchema.default([]),
  kubernetesVersion: textSchema.exactOptional(),
  kubeconfig: kubeconfigSchema.exactOptional(),
  prePull: flagSchema.default(true),
  drain: drainSchema.prefault({}),
  storageGate: storageGateSchema.prefault({}),
  timeoutSeconds: secondsSchema.default(1800),
  allowSkew: flagSchema.default(false),
  /** Where to store the etcd snapshot taken before the first control plane is disturbed. */
  etcdSnapshot: etcdSnapshotSchema.exactOptional(),
  /** Let etcd downgrade its data to an older minor release if the desired Talos runs one. */
  etcdDowngrade: flagSchema.default(false),
  rollout: rolloutPolicySchema.prefault({}),
  /** What RolloutReadiness confirmed; absent if no plan must be approved. */
  approval: recordSchema.exactOptional(),
});

/** The same as the steps use them: plain values with all defaults. */
export type NodeUpgradeInputs = z.output<typeof nodeUpgradeSchema>;
