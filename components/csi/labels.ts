import { z } from "zod";

// Kubernetes's own patterns (siderolabs/talos pkg/machinery/labels).
const name = /^([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$/;
const prefix = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const value = /^(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?$/;

/** May a label or taint have this name, such as `example.com/rack`? */
export function isQualifiedName(key: string): boolean {
  const parts = key.split("/");
  return (
    parts.length <= 2 && name.test(parts.at(-1) ?? "") && (parts.length < 2 || prefix.test(parts[0] ?? ""))
  );
}

/** May a label or taint have this value? */
export function isLabelValue(text: string): boolean {
  return value.test(text);
}

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
