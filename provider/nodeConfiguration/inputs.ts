import { withDefaults } from "../../talos/inputs/defaults.ts";
import {
  nodeConfigurationSchema,
  type NodeConfigurationInputs,
} from "../../talos/inputs/nodeConfiguration.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import type { KnownSecret } from "../../talos/secrecy/known.ts";
import { ConfigTextError } from "../../talos/configTree.ts";
import { differOnlyInImages, pinnedComponents } from "../../talos/kubernetesImages.ts";
import { contractChange } from "../../talos/contractChange.ts";
import { inputFailures, type CheckFailure } from "../check.ts";
import { unknownValue } from "../../talos/secrecy/engineValues.ts";
import { hasUnknown, type Properties } from "../secrets.ts";

/** Read when a change needs them: changing these alone doesn't change the node. */
export const policyProperties = ["drain", "storageGate", "timeoutSeconds", "checkHardware"];

/** Added to the inputs by `check`: the lines that this stack's applies change on the node, newest last. */
export const changesProperty = "changes";

/** Added by `check` and `read`: the lines in which the node differs from what it was last given. */
export const driftProperty = "changedByHand";

/** Always secret, even if the program doesn't mark them. */
export const configurationSecrets = [
  "clientConfiguration",
  "machineConfiguration",
  "patches",
  "hidden",
] as const;

/** The inputs that decide whether the node must be read again. */
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

/** All problems in the inputs. Unknown values are checked in the deployment; no secret is shown. */
export function checkConfigurationInputs(inputs: Properties): CheckFailure[] {
  return inputFailures("NodeConfiguration", nodeConfigurationSchema, inputs);
}

/**
 * The contract stays the one the cluster was created with: that of the last `up`, and that of the cluster's secrets if this stack made them. The second catches
 * a change that coincides with a lost state.
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

/** Inputs that passed `checkConfigurationInputs`, with defaults. */
export function configurationInputs(checked: Properties): NodeConfigurationInputs {
  return withDefaults(nodeConfigurationSchema, checked);
}

/** Adds the redacted configuration, which programs in languages other than TypeScript don't create. */
export function withRedacted(inputs: Properties): Properties {
  const { configuration, machineConfiguration, hidden } = inputs;
  if (configuration !== undefined) return inputs;
  const redacted =
    typeof machineConfiguration !== "string" || hasUnknown([machineConfiguration, hidden])
      ? unknownValue
      : redactMachineConfig(machineConfiguration, { hidden: hidden as KnownSecret[] | undefined });
  return { ...inputs, configuration: redacted };
}

/** Whether an earlier check already compared this node with this configuration. */
export function isSameLook(olds: Properties, news: Properties): boolean {
  return (
    ["node", "endpoint", "acceptDropped"].every(
      (property) => JSON.stringify(olds[property]) === JSON.stringify(news[property]),
    ) &&
    samePatches(olds, news) &&
    isSameConfiguration(olds, news, "machineConfiguration")
  );
}

/** Whether the patches do the same in a configuration that is the same: beyond the result, only what they pin counts. */
export function samePatches(olds: Properties, news: Properties): boolean {
  const [before, after] = [olds["patches"], news["patches"]];
  if (JSON.stringify(before) === JSON.stringify(after)) return true;
  if (hasUnknown([before, after])) return false;
  const pinned = (inputs: Properties): string =>
    [...pinnedComponents(linesOfProperty(inputs, "patches"))].sort().join();
  try {
    return pinned(olds) === pinned(news);
  } catch (error) {
    if (error instanceof ConfigTextError) return false;
    throw error;
  }
}

/** Whether the configurations match, apart from Kubernetes images, which this resource never changes on a node. */
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

/** A property that is a list of lines; empty if it isn't one. */
export function linesOfProperty(properties: Properties, property: string): string[] {
  const value = properties[property];
  return Array.isArray(value) ? value.filter((line) => typeof line === "string") : [];
}

/**
 * The state of a ConfigurationGuard (0.1.0), which this resource replaces through an alias. It shows which configuration passed the guard, but not whether the
 * Talos provider's ConfigurationApply applied it.
 */
export function isGuardState(olds: Properties): boolean {
  return olds["machineConfiguration"] !== undefined && olds["contract"] === undefined;
}
