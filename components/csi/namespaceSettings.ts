import { z } from "zod";
import { flag, namespaceName, section, shown } from "./fields.ts";
import { belongsToKubernetes } from "./naming.ts";

const labels = z.record(z.string(), z.string({ error: "must be text" }), {
  error: "must be an object of label names and values",
});

/** One of `namespaces` in a stack's file. */
const namespaceSchema = section({
  name: namespaceName()
    .refine((name) => !belongsToKubernetes(name), {
      error: (issue) =>
        `${shown(issue.input)} belongs to Kubernetes and exists already; give the driver a namespace of its own`,
    })
    .describe("Name of the namespace, such as longhorn-system."),
  labels: labels.default({}).describe("Further labels, besides the pod-security labels `privileged`."),
  exempt: flag()
    .default(true)
    .describe(
      "Also exempt it from PodSecurity in the API server's configuration, as the drivers' own namespaces are. false: the labels alone.",
    ),
});

/** `namespaces` in a stack's file. */
export const namespacesSchema = z
  .array(namespaceSchema, { error: "must be a list; give namespaces such as [{ name: longhorn-system }]" })
  .default([])
  .describe(
    "Privileged namespaces for storage drivers that are installed by other means. They stay in the cluster when they are taken out here.",
  );

/** `namespaces` with every default filled in. */
export type NamespaceSettings = z.output<typeof namespacesSchema>;
