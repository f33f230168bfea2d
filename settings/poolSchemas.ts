import { z } from "zod";
import { sectionSchema } from "../components/csi/fields.ts";
import { imageNameSchema } from "./imageSettings.ts";
import { flagSchema, must } from "./messages.ts";
import { labelsSchema, taintsSchema } from "./nodeLabelSchemas.ts";

/** Schemas of pools; `pools.ts` expands and checks them. */

const nameText = "a pool's name: lowercase letters, digits and dashes, at most 40";

/** The name of one of `cluster.pools`. */
export const poolNameSchema = z
  .string(must(nameText))
  .regex(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/, must(nameText));

/** A mapping by pool name. */
export function byPoolSchema<Value extends z.ZodType>(value: Value, what: string) {
  return z.record(poolNameSchema, value, {
    error: ({ code, input }) => must(code === "invalid_key" ? nameText : what).error({ input }),
  });
}

/** `cluster.pools`. Patches and documents have the same schemas as those of nodes. */
export function poolsSchema<
  Patches extends z.ZodType,
  Documents extends z.ZodType,
  Version extends z.ZodType,
>(of: { patches: Patches; documents: Documents; talosVersion: Version }) {
  return byPoolSchema(
    sectionSchema({
      image: imageNameSchema.optional().describe("Image name. Default: `image`."),
      iscsi: flagSchema().optional().describe("Same as a node's `iscsi`."),
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
