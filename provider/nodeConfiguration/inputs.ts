import { withDefaults } from "../../talos/inputs/defaults.ts";
import {
  nodeConfigurationSchema,
  type NodeConfigurationInputs,
} from "../../talos/inputs/nodeConfiguration.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import type { KnownSecret } from "../../talos/secrecy/known.ts";
import { ConfigTextError } from "../../talos/configTree.ts";
import { differOnlyInImages } from "../../talos/kubernetesImages.ts";
import { contractChange } from "../../talos/contractChange.ts";
import { inputFailures, type CheckFailure } from "../check.ts";
import { unknownValue } from "../../talos/secrecy/engineValues.ts";
import { hasUnknown, type Properties } from "../secrets.ts";

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

/** All that is wrong with the inputs. Values that only the deployment knows are left for it; no secret is shown. */
export function checkConfigurationInputs(inputs: Properties): CheckFailure[] {
  return inputFailures("NodeConfiguration", nodeConfigurationSchema, inputs);
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

/** Inputs that `checkConfigurationInputs` has passed, with the defaults. */
export function configurationInputs(checked: Properties): NodeConfigurationInputs {
  return withDefaults(nodeConfigurationSchema, checked);
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
