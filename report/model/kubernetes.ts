import type { Digest } from "../digest/digest.ts";

const kubernetesUpgradeType = "talos-node:index:KubernetesUpgrade";

/** The releases between which a cluster's Kubernetes goes. */
export interface KubernetesWay {
  from: string;
  to: string;
}

/** Undefined where the preview leaves it as it is, or only begins to own it. */
export function kubernetesWay({ steps }: Digest): KubernetesWay | undefined {
  const step = steps.find(({ type, operation }) => type === kubernetesUpgradeType && operation === "update");
  // After an upgrade that was not finished, and after a refresh, what runs is in the state alone.
  const before = step?.old?.outputs["kubernetesVersion"] ?? step?.old?.inputs["kubernetesVersion"];
  const after = step?.new?.inputs["kubernetesVersion"];
  if (typeof before !== "string" || typeof after !== "string") return undefined;
  return before === after && step?.old?.outputs["postponed"] === undefined
    ? undefined
    : { from: before, to: after };
}
