import { isRecord } from "../talos/values.ts";
import { coded } from "../talos/errorCodes.ts";
import { isIP } from "node:net";
import { parseVersion, VersionError } from "../talos/version.ts";
import { hopsProblem } from "./hops/hopInputs.ts";
import { rolloutPolicyRule } from "./rollout/policy.ts";
import { unknownValue } from "../talos/secrecy/engineValues.ts";
import { hasUnknown, type Properties } from "./secrets.ts";

/** What is wrong with one input. */
export interface CheckFailure {
  property: string;
  reason: string;
}

/**
 * Malformed inputs, with their code. They name no secret property: engines print the value of a property that is named, secret or not (pulumi v3.250
 * pkg/resource/deploy/step_generator.go, issueCheckErrors).
 */
export function hideSecretPropertyNames(
  failures: readonly CheckFailure[],
  secrets: readonly string[],
): CheckFailure[] {
  return failures.map(({ property, reason }) => ({
    property: secrets.includes(property.split(/[.[]/)[0] ?? "") ? "" : property,
    reason: coded("inputs", reason),
  }));
}

export type Rule = (value: unknown) => string | undefined;

export const textRule: Rule = (value) =>
  typeof value === "string" && value.trim() !== "" ? undefined : `must be a text, not ${showValue(value)}`;
export const flagRule: Rule = (value) =>
  typeof value === "boolean" ? undefined : `must be true or false, not ${showValue(value)}`;
export const secondsRule: Rule = (value) =>
  typeof value === "number" && Number.isFinite(value) && value > 0
    ? undefined
    : `must be a number of seconds greater than 0, not ${showValue(value)}`;
/** An object; what is in it is judged where it is used. */
export const recordRule: Rule = (value) =>
  isRecord(value) ? undefined : `must be an object, not ${showValue(value)}`;
const textListRule: Rule = (value) =>
  Array.isArray(value) && value.every((item) => textRule(item) === undefined)
    ? undefined
    : `must be a list of texts, not ${showValue(value)}`;

// Addresses and host names; a port belongs into `endpoint`.
export const hostRule: Rule = (value) => {
  const problem = textRule(value);
  if (problem !== undefined) return problem;
  const name = value as string;
  if (isIP(name) !== 0 || /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(name)) return undefined;
  return `must be an address or a host name such as "10.0.0.11", not ${showValue(value)}`;
};

const releaseRule: Rule = (value) => {
  const problem = textRule(value);
  if (problem !== undefined) return problem;
  try {
    parseVersion(value as string);
    return undefined;
  } catch (error) {
    if (error instanceof VersionError) return error.message;
    throw error;
  }
};

const schematicRule: Rule = (value) =>
  typeof value === "string" && /^[0-9a-f]{64}$/.test(value)
    ? undefined
    : `must be a schematic ID of 64 hexadecimal digits, not ${showValue(value)}`;

export const roleRule: Rule = (value) =>
  value === "controlplane" || value === "worker"
    ? undefined
    : `must be "controlplane" or "worker", not ${showValue(value)}`;

export const credentialsRule: Rule = (value) => {
  const parts = ["caCertificate", "clientCertificate", "clientKey"];
  const given = typeof value === "object" && value !== null ? (value as Properties) : {};
  const missing = parts.filter((part) => textRule(given[part]) !== undefined);
  return missing.length === 0
    ? undefined
    : `must have ${parts.join(", ")} of a talosconfig; lacks ${missing.join(", ")}`;
};

export const drainRule: Rule = (value) => {
  if (typeof value !== "object" || value === null)
    return `must be { enabled, timeoutSeconds, … }, not ${showValue(value)}`;
  const { enabled, timeoutSeconds, leftoverSessions, whenBlocked, blockedTimeoutSeconds, ...others } =
    value as Properties;
  const strange = Object.keys(others);
  if (strange.length > 0)
    return `has no ${strange.join(", ")}; there are enabled, timeoutSeconds, leftoverSessions, whenBlocked and blockedTimeoutSeconds`;
  if (whenBlocked !== undefined && whenBlocked !== "stop" && whenBlocked !== "delete")
    return `whenBlocked must be "stop" or "delete", not ${showValue(whenBlocked)}`;
  const early = blockedTimeoutSeconds === undefined ? undefined : secondsRule(blockedTimeoutSeconds);
  if (early !== undefined) return `blockedTimeoutSeconds ${early}`;
  if (leftoverSessions !== undefined && leftoverSessions !== "refuse" && leftoverSessions !== "warn")
    return `leftoverSessions must be "refuse" or "warn", not ${showValue(leftoverSessions)}`;
  const problem = enabled === undefined ? undefined : flagRule(enabled);
  if (problem !== undefined) return `enabled ${problem}`;
  const late = timeoutSeconds === undefined ? undefined : secondsRule(timeoutSeconds);
  return late === undefined ? undefined : `timeoutSeconds ${late}`;
};

export const storageGateRule: Rule = (value) => {
  if (typeof value !== "object" || value === null)
    return `must be { enabled, timeoutSeconds }, not ${showValue(value)}`;
  const { enabled, timeoutSeconds, ...others } = value as Properties;
  const strange = Object.keys(others);
  if (strange.length > 0) return `has no ${strange.join(", ")}; there are enabled and timeoutSeconds`;
  const problem = enabled === undefined ? undefined : flagRule(enabled);
  if (problem !== undefined) return `enabled ${problem}`;
  const late = timeoutSeconds === undefined ? undefined : secondsRule(timeoutSeconds);
  return late === undefined ? undefined : `timeoutSeconds ${late}`;
};

/** Recipients are judged where they are read: their texts are long, and only the age library knows all forms. */
const snapshotRule: Rule = (value) => {
  if (typeof value !== "object" || value === null)
    return `must be { cluster, directory, keep, ageRecipients }, not ${showValue(value)}`;
  const { cluster, directory, keep, ageRecipients, ...others } = value as Properties;
  const strange = Object.keys(others);
  if (strange.length > 0)
    return `has no ${strange.join(", ")}; there are cluster, directory, keep and ageRecipients`;
  const problems = {
    cluster: textRule(cluster),
    directory: textRule(directory),
    ageRecipients: textListRule(ageRecipients),
  };
  for (const [name, problem] of Object.entries(problems))
    if (problem !== undefined) return `${name} ${problem}`;
  return typeof keep === "number" && Number.isSafeInteger(keep) && keep >= 1
    ? undefined
    : `keep must be a number of at least 1, not ${showValue(keep)}`;
};

/** Lists of endpoints by address. */
export const endpointsRule: Rule = (value) =>
  typeof value === "object" &&
  value !== null &&
  Object.values(value).every((list) => textListRule(list) === undefined && (list as unknown[]).length > 0)
    ? undefined
    : `must be lists of endpoints by the node's address, not ${showValue(value)}`;

const requiredRules: Record<string, Rule> = {
  name: textRule,
  node: hostRule,
  role: roleRule,
  talosVersion: releaseRule,
  schematicId: schematicRule,
  image: textRule,
  controlPlanes: textListRule,
  clientConfiguration: credentialsRule,
};

const optionalRules: Record<string, Rule> = {
  imageName: textRule,
  endpoint: textRule,
  endpoints: endpointsRule,
  extensions: textListRule,
  services: textListRule,
  files: textListRule,
  kubernetesVersion: textRule,
  kubeconfig: textRule,
  prePull: flagRule,
  drain: drainRule,
  storageGate: storageGateRule,
  timeoutSeconds: secondsRule,
  allowSkew: flagRule,
  etcdSnapshot: snapshotRule,
  etcdDowngrade: flagRule,
  rollout: rolloutPolicyRule,
  approval: recordRule,
};

// Never shown, not even a part of them.
const neverShown = new Set(["clientConfiguration", "kubeconfig"]);

/** All that is wrong with the inputs. A value that only the deployment will know is left for then. */
export function checkNodeUpgrade(inputs: Properties): CheckFailure[] {
  const failures: CheckFailure[] = [];
  const judge = (property: string, rule: Rule): void => {
    const value = inputs[property];
    const reason = hasUnknown(value) ? undefined : rule(value);
    if (reason !== undefined)
      failures.push({ property, reason: `[${property}] ${hideValueInReason(property, reason)}` });
  };
  for (const [property, rule] of Object.entries(requiredRules)) {
    if (inputs[property] === undefined) failures.push({ property, reason: `[${property}] is missing` });
    else judge(property, rule);
  }
  for (const [property, rule] of Object.entries(optionalRules)) {
    if (inputs[property] !== undefined) judge(property, rule);
  }
  for (const property of Object.keys(inputs)) {
    if (property in requiredRules || property in optionalRules || property.startsWith("__")) continue;
    failures.push({ property, reason: `[${property}] is no input of a NodeUpgrade` });
  }
  return failures.length > 0 ? failures : checkCombinations(inputs);
}

/** What only two inputs together can get wrong. */
function checkCombinations(inputs: Properties): CheckFailure[] {
  const failures: CheckFailure[] = [];
  const { role, node, controlPlanes, drain: drained, kubeconfig } = inputs;
  if (role === "controlplane" && !hasUnknown(controlPlanes) && !hasUnknown(node)) {
    if (!(controlPlanes as unknown[]).includes(node)) {
      failures.push({
        property: "controlPlanes",
        reason: `[controlPlanes] must hold the address of every control plane, this node's [node] ${showValue(node)} included`,
      });
    }
  }
  const enabled = (drained as { enabled?: unknown } | undefined)?.enabled ?? true;
  if (enabled === true && kubeconfig === undefined) {
    failures.push({
      property: "kubeconfig",
      reason: "[kubeconfig] is needed to drain the node; give it, or set [drain] to { enabled: false }",
    });
  }
  return failures;
}

function hideValueInReason(property: string, reason: string): string {
  return neverShown.has(property) ? reason.replace(/, not .*$/s, "") : reason;
}

export function showValue(value: unknown): string {
  return value === undefined ? "nothing" : JSON.stringify(value);
}

const perNodeProperties = new Set([
  "imageName",
  "name",
  "node",
  "role",
  "talosVersion",
  "image",
  "extensions",
  "services",
  "files",
]);

/** All that is wrong with the inputs of a RolloutPreflight: each node's as for a NodeUpgrade, what they share once. */
export function checkPreflight({ nodes, hops, ...shared }: Properties): CheckFailure[] {
  const bad = hops === undefined || hasUnknown(hops) ? undefined : hopsProblem(hops);
  if (bad !== undefined) return [{ property: "hops", reason: `[hops] ${bad}` }];
  if (nodes === unknownValue) return [];
  const isList = Array.isArray(nodes);
  const own = typeof nodes === "object" && nodes !== null ? Object.entries(nodes as Properties) : [];
  if (own.length === 0) {
    return [{ property: "nodes", reason: "[nodes] must have at least one node" }];
  }
  const failures = own.flatMap(([key, node]) => {
    if (node === unknownValue) return [];
    const place = isList ? `nodes[${key}]` : `nodes.${key}`;
    const given = typeof node === "object" && node !== null ? (node as Properties) : {};
    const named = isList ? given : { ...given, name: key };
    return checkNodeUpgrade({ ...shared, ...named }).map(({ property, reason }) => {
      if (!perNodeProperties.has(property) && !(property in named)) return { property, reason };
      return {
        property: `${place}.${property}`,
        reason: reason.replace(`[${property}]`, `[${place}.${property}]`),
      };
    });
  });
  return failures.filter(
    ({ reason }, index) => failures.findIndex((other) => other.reason === reason) === index,
  );
}
