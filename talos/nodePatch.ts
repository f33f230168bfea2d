/** Labels and taints of a Kubernetes node, as Talos sets them. */
import { stringify } from "yaml";
import { Configuration } from "./configuration.ts";
import { isTreeList, isTreeMap, textOf, type TreeMap } from "./configTree.ts";
import { configurationForms, joinsWithTaints, type ConfigurationForms } from "./features.ts";

/**
 * Sets labels and taints; undefined if there are none. Taints are in Talos's format: `value:Effect`, or only the effect. Those of workers are given to the
 * kubelet where Talos could not set them: it registers the node with them.
 */
export function nodePatch({
  role,
  labels = {},
  taints = {},
  contract,
  forms = configurationForms(contract),
  base = [],
}: {
  readonly role: "controlplane" | "worker";
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly taints?: Readonly<Record<string, string>> | undefined;
  readonly contract: string;
  readonly forms?: ConfigurationForms | undefined;
  /** The configuration that it is for, if it exists. */
  readonly base?: readonly TreeMap[] | undefined;
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
  // A kubelet with its own document has no other section, and Talos 1.14 or newer.
  const joins = joinsWithTaints(contract) || new Configuration(base).of("KubeletConfig").length > 0;
  const byKubelet = role === "worker" && !joins;
  const registerWithTaints = Object.entries(taints).map(([key, text]) => parseTaint(key, text));
  return stringify({
    machine: {
      ...(has.labels ? { nodeLabels: labels } : {}),
      ...(has.taints && !byKubelet ? { nodeTaints: taints } : {}),
      ...(has.taints && byKubelet ? { kubelet: { extraConfig: { registerWithTaints } } } : {}),
    },
  });
}

function parseTaint(key: string, text: string): { key: string; value?: string; effect: string } {
  const colon = text.indexOf(":");
  const [value, effect] = [text.slice(0, Math.max(0, colon)), text.slice(colon + 1)];
  return value === "" ? { key, effect } : { key, value, effect };
}

/** Why a worker would not join with its taint; undefined if it would. @param documents its configuration, with all patches */
export function registrationProblem(documents: readonly TreeMap[], key: string): string | undefined {
  const config = new Configuration(documents);
  if (config.at("machine", "kubelet", "extraArgs", "register-with-taints") !== undefined)
    return "has no effect with machine.kubelet.extraArgs.register-with-taints; remove that argument, and list its taints here";
  const taints = config.at("machine", "kubelet", "extraConfig", "registerWithTaints");
  const effects = (isTreeList(taints) ? taints : [])
    .filter((taint) => isTreeMap(taint) && textOf(taint, "key") === key)
    .map((taint) => textOf(taint, "effect"));
  return new Set(effects).size === effects.length
    ? undefined
    : "is also in machine.kubelet.extraConfig.registerWithTaints, and Kubernetes refuses a node with the same taint twice; remove it there";
}
