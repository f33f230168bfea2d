import type { z } from "zod";
import { controllerTolerations, imagesSchema, registrySchema } from "./driverSettings.ts";
import {
  countSchema,
  flagSchema,
  listSchema,
  namespaceNameSchema,
  objectNameSchema,
  sectionSchema,
} from "./fields.ts";

/** `snapshotController` in a stack's file: what volume snapshots need, once per cluster. */
export const snapshotControllerSchema = sectionSchema({
  install: flagSchema().default(true).describe("`false`: the cluster already has them."),
  namespace: namespaceNameSchema().default("kube-system").describe("Existing namespace."),
  replicas: countSchema("a number of replicas", 1, 5).default(2).describe("More than one: leader election."),
  tolerations: controllerTolerations,
  registry: registrySchema,
  images: imagesSchema,
  imagePullSecrets: listSchema(
    objectNameSchema("registry-credentials"),
    "names of Secrets in that namespace",
    "[registry-credentials]",
  )
    .optional()
    .describe("Pull secrets in that namespace."),
}).describe("Snapshot CRDs (kept when removed) and controller. Absent: no snapshots.");

/** `snapshotController` from a stack's file, with all defaults. */
export type SnapshotControllerSettings = z.output<typeof snapshotControllerSchema>;
/** `snapshotController` as it may be written. */
export type SnapshotControllerSettingsInput = z.input<typeof snapshotControllerSchema>;
