import { z } from "zod";
import { flagSchema, namespaceNameSchema, sectionSchema, describeValue } from "./fields.ts";
import { labelsSchema } from "./labels.ts";
import { belongsToKubernetes } from "./naming.ts";

/** One of `namespaces` in a stack's file. */
const namespaceSchema = sectionSchema({
  name: namespaceNameSchema()
    .refine((name) => !belongsToKubernetes(name), {
      error: (issue) =>
        `${describeValue(issue.input)} belongs to Kubernetes and already exists; use a dedicated namespace for the driver`,
    })
    .describe("Namespace name."),
  labels: labelsSchema().default({}).describe("More labels."),
  exempt: flagSchema().default(true).describe("Also exempt it in the API server."),
});

/** `namespaces` in a stack's file. */
export const namespacesSchema = z
  .array(namespaceSchema, { error: "must be a list of namespaces such as [{ name: longhorn-system }]" })
  .default([])
  .describe("Privileged namespaces for other drivers. Kept when removed here.");

/** `namespaces` with all defaults. */
export type NamespaceSettings = z.output<typeof namespacesSchema>;
