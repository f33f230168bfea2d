import type { z } from "zod";
import { sectionSchema } from "../components/csi/fields.ts";
import { joviandssSchema } from "../components/csi/joviandssSettings.ts";
import { namespacesSchema } from "../components/csi/namespaceSettings.ts";
import { snapshotControllerSchema } from "../components/csi/snapshotsSettings.ts";
import { synologySchema } from "../components/csi/synologySettings.ts";
import { baseShape } from "./schema.ts";

/** All settings that a stack's file may have. */
export const settingsSchema = sectionSchema({
  ...baseShape,
  joviandss: joviandssSchema.optional().describe("JovianDSS driver. Absent: not deployed."),
  namespaces: namespacesSchema,
  snapshotController: snapshotControllerSchema.optional(),
  synology: synologySchema.optional().describe("Synology driver. Absent: not deployed."),
});
/** The schema's output. */
export type Draft = z.output<typeof settingsSchema>;
