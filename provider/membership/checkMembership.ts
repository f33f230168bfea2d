import {
  credentialsRule,
  drainRule,
  endpointsRule,
  flagRule,
  hostRule,
  recordRule,
  roleRule,
  secondsRule,
  showValue,
  textRule,
  type CheckFailure,
  type Rule,
} from "../check.ts";
import { unknownValue } from "../../talos/secrecy/engineValues.ts";
import { hasUnknown, type Properties } from "../secrets.ts";

const onRemoveRule: Rule = (value) =>
  value === "keep" || value === "reset" ? undefined : `must be "keep" or "reset", not ${showValue(value)}`;

const nodeRules: Record<string, Rule> = { name: textRule, node: hostRule, role: roleRule };
const required: Record<string, Rule> = { clientConfiguration: credentialsRule };
const optional: Record<string, Rule> = {
  onRemove: onRemoveRule,
  endpoints: endpointsRule,
  kubeconfig: textRule,
  drain: drainRule,
  timeoutSeconds: secondsRule,
  approval: recordRule,
  preview: flagRule,
};
// Never shown, not even a part of them.
const neverShown = new Set(["clientConfiguration", "kubeconfig"]);

/** All that is wrong with the inputs of a ClusterMembership. A value that only the deployment will know is left for then. */
export function checkMembership({ nodes, ...shared }: Properties): CheckFailure[] {
  const failures: CheckFailure[] = [];
  const judge = (path: string, value: unknown, rule: Rule, isRequired: boolean): void => {
    if (value === undefined && isRequired) failures.push({ property: path, reason: `[${path}] is missing` });
    const reason = value === undefined || hasUnknown(value) ? undefined : rule(value);
    if (reason === undefined) return;
    const told = neverShown.has(path) ? reason.replace(/, not .*$/s, "") : reason;
    failures.push({ property: path, reason: `[${path}] ${told}` });
  };
  for (const [property, rule] of Object.entries(required)) judge(property, shared[property], rule, true);
  for (const [property, rule] of Object.entries(optional)) judge(property, shared[property], rule, false);
  for (const property of Object.keys(shared)) {
    if (property in required || property in optional || property.startsWith("__")) continue;
    failures.push({ property, reason: `[${property}] is no input of a ClusterMembership` });
  }
  if (nodes === unknownValue) return failures;
  const entries = typeof nodes === "object" && nodes !== null ? Object.entries(nodes as Properties) : [];
  if (entries.length === 0) {
    return [...failures, { property: "nodes", reason: "[nodes] must have at least one node" }];
  }
  for (const [name, entry] of entries) {
    const given = typeof entry === "object" && entry !== null ? (entry as Properties) : {};
    const [place, node] = Array.isArray(nodes)
      ? [`nodes[${name}]`, given]
      : [`nodes.${name}`, { ...given, name }];
    for (const [key, rule] of Object.entries(nodeRules)) judge(`${place}.${key}`, node[key], rule, true);
    judge(`${place}.onRemove`, node["onRemove"], onRemoveRule, false);
  }
  return failures;
}
