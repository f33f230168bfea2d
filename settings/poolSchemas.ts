import { z } from "zod";
import { sectionSchema } from "../components/csi/fields.ts";
import { imageNameSchema } from "./imageSettings.ts";
import { flagSchema, must } from "./messages.ts";
import { labelsSchema, taintsSchema } from "./nodeLabelSchemas.ts";

/** How pools look in the settings; `pools.ts` says what they mean. */

const nameText = "a pool's name: lower-case letters, digits and dashes, at most 40";

/** The name of one of `cluster.pools`. */
export const poolNameSchema = z
  .string(must(nameText))
  .regex(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/, must(nameText));

/** A mapping of something by the names of pools. */
export function byPoolSchema<Value extends z.ZodType>(value: Value, what: string) {
  return z.record(poolNameSchema, value, {
    error: ({ code, input }) => must(code === "invalid_key" ? nameText : what).error({ input }),
  });
}

/** `cluster.pools`, of which lists of patches and documents have the form that nodes have them in. */
export function poolsSchema<
  Patches extends z.ZodType,
  Documents extends z.ZodType,
  Version extends z.ZodType,
>(of: { patches: Patches; documents: Documents; talosVersion: Version }) {
  return byPoolSchema(
    sectionSchema({
      image: imageNameSchema.optional().describe("Image name. Default: `image`."),
      iscsi: flagSchema().optional().describe("As a node's `iscsi`."),
      talosVersion: of.talosVersion,
      labels: labelsSchema.describe("Node labels."),
      taints: taintsSchema.describe("Node taints."),
      documents: of.documents,
      patches: of.patches,
    }),
    "a mapping of pools by name",
  )
    .default({})
    .describe("Settings shared by nodes. A node's own settings are added or take precedence.");
}
