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
  /** For people: `cp1`. */
  name: textSchema,
  node: hostSchema,
  role: roleSchema,
  talosVersion: releaseSchema,
  schematicId: schematicSchema,
  image: textSchema,
  controlPlanes: textsSchema,
  clientConfiguration: credentialsSchema,
  /** What the settings call the image; a preflight's nodes alone have it. */
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
  /** Where a snapshot of etcd goes before the first control plane is disturbed. */
  etcdSnapshot: etcdSnapshotSchema.exactOptional(),
  /** Let etcd take its data to an older minor release where the wanted Talos runs one. */
  etcdDowngrade: flagSchema.default(false),
  rollout: rolloutPolicySchema.prefault({}),
  /** What RolloutReadiness has confirmed; absent where no plan has to be approved. */
  approval: recordSchema.exactOptional(),
});

/** The same as the steps use them: plain values, every default filled in. */
export type NodeUpgradeInputs = z.output<typeof nodeUpgradeSchema>;
