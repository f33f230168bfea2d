import { isRecord } from "../../talos/values.ts";
import type { TalosCredentials } from "../../talos/api/credentials.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import type { KnownSecret } from "../../talos/secrecy/known.ts";
import type { Endpoints } from "../../talos/endpoint.ts";
import { ConfigTextError } from "../../talos/configTree.ts";
import { differOnlyInImages } from "../../talos/kubernetesImages.ts";
import { contractChange } from "../../talos/contractChange.ts";
import { endpointsRule, type CheckFailure } from "../check.ts";
import type { DrainInputs } from "../inputs.ts";
import { unknownValue } from "../../talos/secrecy/engineValues.ts";
import { hasUnknown, type Properties } from "../secrets.ts";

/** The inputs of a NodeConfiguration: plain values, every default filled in. */
export interface NodeConfigurationInputs {
  /** For people: `cp1`. */
  name: string;
  node: string;
  endpoint?: string;
  /** Where nodes are reached that are not at their own addresses. */
  endpoints?: Endpoints;
  role: "controlplane" | "worker";
  /** Addresses of all control planes, this node included if it is one. */
  controlPlanes: string[];
  clientConfiguration: TalosCredentials;
  /** The configuration that the node is to have. */
  machineConfiguration: string;
  /** The same, redacted: for policies, reports and drift. */
  configuration: string;
  /** The patches in it. */
  patches: string[];
  /** Paths whose loss is accepted. */
  acceptDropped: string[];
  /** Values that no line shows, whatever their names. */
  hidden?: KnownSecret[];
  /** The contract that the configuration is made for, such as `v1.12`. */
  contract: string;
  /** The contract that the cluster's secrets were made for, if this stack made them. */
  createdWith?: string;
  timeoutSeconds: number;
  /** How the node is drained where its kubelet must not restart under volumes. Absent: as an upgrade does by default. */
  drain?: Partial<DrainInputs>;
  /** How long storage may take to be back after that. Absent: as after an upgrade by default. */
  storageGate?: { enabled?: boolean; timeoutSeconds?: number };
  /** As for a NodeUpgrade. */
  approval?: unknown;
}

/** Read when a change needs them: a change of theirs alone is no change of the node. */
export const policyProperties = ["drain", "storageGate", "timeoutSeconds"];

/** What `check` adds to the inputs: the lines that the applies of this stack change on the node, the newest last. */
export const changesProperty = "changes";

/** What `check` and `read` add: the lines in which the node differs from what it was given last. */
export const driftProperty = "changedByHand";

/** Secret whatever the program says. */
export const configurationSecrets = [
  "clientConfiguration",
  "machineConfiguration",
  "patches",
  "hidden",
] as const;

/** What a look at the node is about. */
export const lookProperties = [
  "name",
  "node",
  "endpoint",
  "endpoints",
  "clientConfiguration",
  "machineConfiguration",
  "patches",
  "acceptDropped",
  "hidden",
] as const;

const isText = (value: unknown): boolean => typeof value === "string" && value !== "";
const isTextList = (value: unknown): boolean =>
  Array.isArray(value) && value.every((item) => typeof item === "string");

const inputRules: Record<string, { fits: (value: unknown) => boolean; what: string; optional?: boolean }> = {
  name: { fits: isText, what: "a text" },
  node: { fits: isText, what: "the address of the node" },
  endpoint: { fits: isText, what: "a text", optional: true },
  endpoints: {
    fits: (value) => endpointsRule(value) === undefined,
    what: "lists of endpoints by the node's address",
    optional: true,
  },
  role: {
    fits: (value) => value === "controlplane" || value === "worker",
    what: '"controlplane" or "worker"',
  },
  controlPlanes: { fits: isTextList, what: "a list of addresses" },
  clientConfiguration: { fits: isRecord, what: "the credentials of a talosconfig" },
  machineConfiguration: { fits: isText, what: "a machine configuration" },
  configuration: { fits: isText, what: "a text", optional: true },
  patches: { fits: isTextList, what: "a list of texts" },
  acceptDropped: { fits: isTextList, what: "a list of paths", optional: true },
  hidden: {
    fits: (value) => Array.isArray(value) && value.every(isRecord),
    what: "a list of values",
    optional: true,
  },
  contract: { fits: isText, what: 'a contract such as "v1.12"' },
  createdWith: { fits: isText, what: 'a contract such as "v1.12"', optional: true },
  approval: { fits: isRecord, what: "an object", optional: true },
  timeoutSeconds: {
    fits: (value) => typeof value === "number" && value > 0,
    what: "a number of seconds greater than 0",
    optional: true,
  },
  drain: { fits: isRecord, what: "the settings of a drain", optional: true },
  storageGate: { fits: isRecord, what: "{ enabled, timeoutSeconds }", optional: true },
};

/** All that is wrong with the inputs. Values that only the deployment knows are left for it; no value is shown, since most are secret. */
export function checkConfigurationInputs(inputs: Properties): CheckFailure[] {
  const failures = Object.entries(inputRules).flatMap(
    ([property, { fits, what, optional }]): CheckFailure[] => {
      const value = inputs[property];
      if (hasUnknown(value) || (value === undefined && optional === true) || fits(value)) return [];
      return [
        { property, reason: `[${property}] ${value === undefined ? "is missing" : `must be ${what}`}` },
      ];
    },
  );
  const strange = Object.keys(inputs).filter(
    (property) => !(property in inputRules) && !property.startsWith("__"),
  );
  return [
    ...failures,
    ...strange.map((property) => ({ property, reason: `[${property}] is no input of a NodeConfiguration` })),
  ];
}

/**
 * The contract stays where the cluster was created: with that of the last `up`, and with that of the cluster's secrets if this stack made them.
 * The second catches a change that comes together with a lost state.
 */
export function checkContract(olds: Properties, news: Properties): CheckFailure[] {
  const wanted = news["contract"];
  for (const before of [olds["contract"], news["createdWith"]]) {
    if (typeof before !== "string" || typeof wanted !== "string" || hasUnknown([before, wanted])) continue;
    const reason = contractChange(before, wanted);
    if (reason !== undefined) return [{ property: "contract", reason }];
  }
  return [];
}

type DefaultedProperty = "acceptDropped" | "timeoutSeconds";

/** Inputs that `checkConfigurationInputs` has passed, with the defaults. */
export function configurationInputs(checked: Properties): NodeConfigurationInputs {
  const given = checked as unknown as Omit<NodeConfigurationInputs, DefaultedProperty> &
    Partial<NodeConfigurationInputs>;
  return { ...given, acceptDropped: given.acceptDropped ?? [], timeoutSeconds: given.timeoutSeconds ?? 600 };
}

/** The inputs with the redacted configuration, which a program in another language than TypeScript does not make. */
export function withRedacted(inputs: Properties): Properties {
  const { configuration, machineConfiguration, hidden } = inputs;
  if (configuration !== undefined) return inputs;
  const redacted =
    typeof machineConfiguration !== "string" || hasUnknown([machineConfiguration, hidden])
      ? unknownValue
      : redactMachineConfig(machineConfiguration, { hidden: hidden as KnownSecret[] | undefined });
  return { ...inputs, configuration: redacted };
}

/** Is this the configuration, of this node, that an earlier look was about? */
export function isSameLook(olds: Properties, news: Properties): boolean {
  return (
    ["node", "endpoint", "patches", "acceptDropped"].every(
      (property) => JSON.stringify(olds[property]) === JSON.stringify(news[property]),
    ) && isSameConfiguration(olds, news, "machineConfiguration")
  );
}

/** Is a configuration among the inputs the same as before, apart from images of Kubernetes, which this resource moves on no node? */
export function isSameConfiguration(
  olds: Properties,
  news: Properties,
  property: "machineConfiguration" | "configuration",
): boolean {
  const [before, after] = [olds[property], news[property]];
  if (before === after) return true;
  if (typeof before !== "string" || typeof after !== "string" || hasUnknown([before, after])) return false;
  const patches = [olds, news].flatMap((inputs) => linesOfProperty(inputs, "patches"));
  try {
    return differOnlyInImages(before, after, patches);
  } catch (error) {
    if (error instanceof ConfigTextError) return false;
    throw error;
  }
}

/** A property that is a list of lines; empty if it is none. */
export function linesOfProperty(properties: Properties, property: string): string[] {
  const value = properties[property];
  return Array.isArray(value) ? value.filter((line) => typeof line === "string") : [];
}

/**
 * The state of a ConfigurationGuard (0.1.0), which this resource replaces: an alias hands it over. It tells which configuration passed the guard,
 * but not whether the Talos provider's ConfigurationApply has applied it.
 */
export function isGuardState(olds: Properties): boolean {
  return olds["machineConfiguration"] !== undefined && olds["contract"] === undefined;
}
