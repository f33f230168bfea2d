import { z } from "zod";
import { isLabelValue, isQualifiedName } from "../../talos/nodeMetadata.ts";

/** Labels of objects or nodes. */
export function labelsSchema() {
  return z
    .record(z.string(), z.string({ error: "must be text" }), {
      error: "must be an object of label names and values",
    })
    .superRefine((labels, context) => {
      for (const [key, text] of Object.entries(labels)) {
        const issue = (message: string) => context.addIssue({ code: "custom", path: [key], message });
        if (!isQualifiedName(key)) issue("is not a label's name; use one such as example.com/rack");
        if (!isLabelValue(text))
          issue("is not a label's value: at most 63 letters, digits, dashes, underscores and dots");
      }
    });
}
