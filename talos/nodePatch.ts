/** What a Kubernetes node is labelled and tainted with, as Talos gives it to the node. */
import { stringify } from "yaml";
import { configurationForms, type ConfigurationForms } from "./features.ts";

/** Sets labels and taints; undefined where there are none. A taint is written as Talos writes it: `value:Effect`, or the effect alone. */
export function nodePatch({
  labels = {},
  taints = {},
  contract,
  forms = configurationForms(contract),
}: {
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly taints?: Readonly<Record<string, string>> | undefined;
  readonly contract: string;
  readonly forms?: ConfigurationForms | undefined;
}): string | undefined {
  const has = { labels: Object.keys(labels).length > 0, taints: Object.keys(taints).length > 0 };
  if (!has.labels && !has.taints) return undefined;
  if (forms.node === "KubeNodeConfig") {
    return stringify({
      apiVersion: "v1alpha1",
      kind: "KubeNodeConfig",
      ...(has.labels ? { labels } : {}),
      ...(has.taints ? { taints } : {}),
    });
  }
  return stringify({
    machine: {
      ...(has.labels ? { nodeLabels: labels } : {}),
      ...(has.taints ? { nodeTaints: taints } : {}),
    },
  });
}
