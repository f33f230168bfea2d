import type { TalosCredentials } from "../../talos/api/credentials.ts";
import type { Endpoints } from "../../talos/endpoint.ts";
import { kubernetesComponents, type KubernetesComponent } from "../../talos/kubernetesImages.ts";
import {
  credentialsRule,
  drainRule,
  endpointsRule,
  flagRule,
  hostRule,
  roleRule,
  secondsRule,
  showValue,
  storageGateRule,
  textRule,
  type CheckFailure,
  type Rule,
  recordRule,
} from "../check.ts";
import { drainInputs, type DrainInputs } from "../inputs.ts";
import { nodesByName } from "../../talos/nodesByName.ts";
import { parsePolicy, rolloutPolicyRule, type RolloutPolicy } from "../rollout/policy.ts";
import { hasUnknown, type Properties } from "../secrets.ts";

/** A node whose Kubernetes is upgraded. */
export interface KubernetesNodeInputs {
  name: string;
  node: string;
  role: "controlplane" | "worker";
  /** The Talos release that it is to run: what the preview judges by. */
  talosVersion?: string;
  /** Components whose image the patches of its owner set: they are left alone. */
  pinned: KubernetesComponent[];
}

/** The inputs of a KubernetesUpgrade, every default filled in. Control planes come first among the nodes. */
export interface KubernetesUpgradeInputs {
  kubernetesVersion: string;
  /** Releases to go through first where the cluster is more than one minor release behind, one of each minor. */
  through: string[];
  nodes: KubernetesNodeInputs[];
  endpoints?: Endpoints;
  clientConfiguration: TalosCredentials;
  kubeconfig: string;
  drain: DrainInputs;
  storageGate: { enabled?: boolean; timeoutSeconds: number };
  timeoutSeconds: number;
  /** Fetch all images on all nodes before the first component changes. */
  prePull: boolean;
  /** Go on although something still uses APIs that the wanted release does not have. */
  acceptRemovedApis: boolean;
  /** Objects that the program declares and whose API the wanted release does not have, in words. */
  removedObjects: string[];
  rollout: RolloutPolicy;
  /** As for a NodeUpgrade. */
  approval?: unknown;
}

const kubernetesReleaseRule: Rule = (value) =>
  typeof value === "string" && /^v\d+\.\d+\.\d+(-(alpha|beta|rc)\.\d+)?$/.test(value)
    ? undefined
    : `must be a Kubernetes release such as "v1.35.4", not ${showValue(value)}`;

const nodeRules: Record<string, Rule> = { node: hostRule, role: roleRule };
const optionalNodeRules: Record<string, Rule> = {
  name: textRule,
  talosVersion: textRule,
  pinned: (value) =>
    Array.isArray(value) && value.every((item) => kubernetesComponents.includes(item as KubernetesComponent))
      ? undefined
      : `must be a list of ${kubernetesComponents.join(", ")}, not ${showValue(value)}`,
};

const nodesRule: Rule = (value) => {
  const all = nodesByName(value);
  if (all.length === 0) return `must be nodes by name, not ${showValue(value)}`;
  for (const [name, node] of all) {
    for (const [key, rule] of Object.entries({ ...nodeRules, ...optionalNodeRules })) {
      if (hasUnknown(node[key]) || (node[key] === undefined && !(key in nodeRules))) continue;
      const problem = rule(node[key]);
      if (problem !== undefined) return `${name}.${key} ${problem}`;
    }
    const strange = Object.keys(node).filter((key) => !(key in nodeRules) && !(key in optionalNodeRules));
    if (strange.length > 0) return `${name} has no ${strange.join(", ")}`;
  }
  return all.some(([, node]) => node["role"] === "controlplane") ? undefined : "has no control plane";
};

const requiredRules: Record<string, Rule> = {
  kubernetesVersion: kubernetesReleaseRule,
  nodes: nodesRule,
  clientConfiguration: credentialsRule,
  kubeconfig: textRule,
};

const optionalRules: Record<string, Rule> = {
  through: (value) => {
    if (!Array.isArray(value)) return `must be a list of Kubernetes releases, not ${showValue(value)}`;
    return value.map(kubernetesReleaseRule).find((problem) => problem !== undefined);
  },
  endpoints: endpointsRule,
  drain: drainRule,
  storageGate: storageGateRule,
  timeoutSeconds: secondsRule,
  prePull: flagRule,
  acceptRemovedApis: flagRule,
  removedObjects: (value) =>
    Array.isArray(value) && value.every((item) => typeof item === "string")
      ? undefined
      : `must be a list of texts, not ${showValue(value)}`,
  rollout: rolloutPolicyRule,
  approval: recordRule,
};

/** All that is wrong with the inputs. A value that only the deployment will know is left for then; no secret is shown. */
export function checkKubernetesUpgrade(inputs: Properties): CheckFailure[] {
  const rules = { ...requiredRules, ...optionalRules };
  const failures = Object.entries(rules).flatMap(([property, rule]): CheckFailure[] => {
    const value = inputs[property];
    if (hasUnknown(value) || (value === undefined && !(property in requiredRules))) return [];
    const reason =
      value === undefined ? "is missing" : rule(value)?.replace(/(?<=kubeconfig).*, not .*$/s, "");
    return reason === undefined ? [] : [{ property, reason: `[${property}] ${reason}` }];
  });
  const strange = Object.keys(inputs).filter((key) => !(key in rules) && !key.startsWith("__"));
  return [
    ...failures,
    ...strange.map((property) => ({ property, reason: `[${property}] is no input of a KubernetesUpgrade` })),
  ];
}

/** Inputs that `checkKubernetesUpgrade` has passed, with the defaults. */
export function kubernetesUpgradeInputs(checked: Properties): KubernetesUpgradeInputs {
  const given = checked as unknown as Partial<KubernetesUpgradeInputs> &
    Pick<KubernetesUpgradeInputs, "kubernetesVersion" | "clientConfiguration" | "kubeconfig">;
  return {
    timeoutSeconds: 1800,
    through: [],
    prePull: true,
    acceptRemovedApis: false,
    removedObjects: [],
    ...given,
    nodes: nodesByName(checked["nodes"]).map(([name, node]) => ({
      ...(node as unknown as KubernetesNodeInputs),
      name,
      pinned: (node["pinned"] as KubernetesComponent[] | undefined) ?? [],
    })),
    drain: drainInputs(given.drain),
    storageGate: { timeoutSeconds: 300, ...given.storageGate },
    rollout: parsePolicy(given.rollout),
  };
}
