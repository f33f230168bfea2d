/** Labels and taints of a Kubernetes node, as Talos sets them. */
import { stringify } from "yaml";
import { configurationForms, type ConfigurationForms } from "./features.ts";

/** Sets labels and taints; undefined if there are none. Taints are in Talos's format: `value:Effect`, or only the effect. */
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
