import type { z } from "zod";
import { controllerTolerations, imagesSchema, registrySchema } from "./driverSettings.ts";
import { count, flag, listOf, namespaceName, objectName, section } from "./fields.ts";

/** `snapshotController` in a stack's file: what volume snapshots need, once for the whole cluster. */
export const snapshotControllerSchema = section({
  install: flag()
    .default(true)
    .describe("false: the cluster has the snapshot CRDs and controller already, and nothing is installed."),
  namespace: namespaceName().default("kube-system").describe("An existing namespace to run in."),
  replicas: count("a number of replicas", 1, 5)
    .default(2)
    .describe("With more than one they elect a leader."),
  tolerations: controllerTolerations,
  registry: registrySchema,
  images: imagesSchema,
  imagePullSecrets: listOf(
    objectName("registry-credentials"),
    "names of Secrets in that namespace",
    "[registry-credentials]",
  )
    .optional()
    .describe("Secrets of type kubernetes.io/dockerconfigjson in that namespace."),
}).describe(
  "The snapshot CRDs and the snapshot controller, which a driver's snapshots need. Absent: not installed, and no driver may have snapshots.",
);

/** `snapshotController` as a stack's file has it, with every default filled in. */
export type SnapshotControllerSettings = z.output<typeof snapshotControllerSchema>;
/** `snapshotController` as it may be written. */
export type SnapshotControllerSettingsInput = z.input<typeof snapshotControllerSchema>;
