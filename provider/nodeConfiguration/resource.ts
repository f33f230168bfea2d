import { coded } from "../../talos/errorCodes.ts";
import type { CheckResult } from "@pulumi/pulumi/provider/provider.js";
import { firstConfigurationLine, isUnanswered, unansweredLine } from "../../talos/configurationLines.ts";
import { reach } from "../../talos/endpoint.ts";
import { hideSecretPropertyNames, type CheckFailure } from "../check.ts";
import { Connections } from "../connections.ts";
import { approvalProperty, approvalForNode } from "../approval.ts";
import { refusedInput, refusedProperty } from "../refusals.ts";
import { changedInputs, type DetailedDiffResult, type Details } from "../detailedDiff.ts";
import { nodeLabel } from "../inputs.ts";
import { unknownValue } from "../../talos/secrecy/engineValues.ts";
import { hasUnknown, unwrap, wrap, type Properties } from "../secrets.ts";
import { alwaysSecret } from "../state.ts";
import { accessHint } from "../unansweredHint.ts";
import type { ReadAhead } from "../readAhead.ts";
import { UnfinishedError } from "../unfinished.ts";
import { applyConfiguration, type ApplyCall } from "./apply.ts";
import {
  lookProperties,
  changesProperty,
  checkConfigurationInputs,
  checkContract,
  configurationInputs,
  configurationSecrets,
  driftProperty,
  isGuardState,
  linesOfProperty,
  policyProperties,
  isSameLook,
  isSameConfiguration,
  samePatches,
  withRedacted,
} from "./inputs.ts";
import { iscsiRemovalProblem } from "./iscsiRemoval.ts";
import { kubeletWarning, restartsKubelet } from "./kubelet.ts";
import { taintWarning } from "./taints.ts";
import {
  ConfigurationError,
  driftLines,
  driftWarning,
  findConfiguration,
  judgeChange,
  reinstallRefusal,
  redactedRunningConfiguration,
} from "./look.ts";

export const nodeConfigurationType = "talos-node:index:NodeConfiguration";

/** The predecessor in 0.1.0. It only exists in states: it is read and deleted, nothing else. */
export const guardType = "talos-node:index:ConfigurationGuard";

/** An output: the node received its configuration, and a later step failed. */
const pendingProperty = "pending";
/**
 * The output that holds the long inputs as one secret. Refreshing engines print every resource with a hidden property that is also an output of that name,
 * changed or not (pulumi v3.250 pkg/backend/display/object_diff.go).
 */
export const givenProperty = "given";
const longProperties = ["machineConfiguration", "configuration", "patches"];

/** The result of reading the node in a check: lines to add to `changes`, manual differences, and what blocks the change. */
interface ConfigurationLookResult {
  readonly changes: readonly string[];
  readonly drift?: readonly string[];
  readonly failures: readonly CheckFailure[];
}

/**
 * The inputs, plus what the configuration changes on the running node. `check` is the only call that previews and deployments share; the node is asked only if
 * there is something new to apply.
 *
 * Lines are added to those of earlier applies and never removed: the engine shows a list as its difference from the last one, and a removed line would look
 * like a value removed from the node.
 */
export async function checkConfiguration(
  call: ApplyCall,
  olds: Properties,
  news: Properties,
): Promise<CheckResult> {
  const { preview, ...given } = approvalForNode(news);
  const [before, after] = [unwrap(olds).values, unwrap(given)];
  const { [changesProperty]: _changes, [driftProperty]: _drift, ...checked } = after.values;
  const inputs = withRedacted(checked);
  // Secret and unknown values are returned as the engine wrote them.
  const asGiven = wrap(
    { configuration: inputs["configuration"], ...given },
    configurationSecrets.filter((key) => !after.secrets.has(key) && given[key] !== undefined),
  );
  const malformed = hideSecretPropertyNames(checkConfigurationInputs(inputs), configurationSecrets);
  if (malformed.length > 0) return { inputs: asGiven, failures: malformed };
  const history = linesOfProperty(before, changesProperty);
  const answer = (changes: readonly string[], drift: readonly string[] = []): Properties => ({
    ...asGiven,
    ...(changes.length === 0 ? {} : { [changesProperty]: [...changes] }),
    ...(drift.length === 0 ? {} : { [driftProperty]: [...drift] }),
  });
  // This preview's preflight fails with the refusals of all nodes.
  const result = (checked: Properties, failures: readonly CheckFailure[]): CheckResult =>
    preview === true
      ? { inputs: { ...checked, ...refusedInput(failures) }, failures: [] }
      : { inputs: checked, failures: [...failures] };
  const contract = hideSecretPropertyNames(checkContract(before, inputs), configurationSecrets);
  if (contract.length > 0) return result(answer(history), contract);
  // Check this first: credentials that are being renewed are unknown, but they are not a change.
  if (isLookUnneeded(before, inputs)) return { inputs: answer(history), failures: [] };
  if (lookProperties.some((key) => hasUnknown(inputs[key]))) {
    return { inputs: { ...asGiven, [changesProperty]: unknownValue }, failures: [] };
  }
  const found = await lookBeforeApply(call, before, inputs);
  return result(answer([...history, ...found.changes], found.drift), found.failures);
}

/** The last check already compared this configuration. */
function isLookUnneeded(before: Properties, inputs: Properties): boolean {
  return (
    isSameLook(before, inputs) &&
    !isGuardState(before) &&
    before[driftProperty] === undefined &&
    !linesOfProperty(before, changesProperty).slice(-1).some(isUnanswered)
  );
}

async function lookBeforeApply(
  call: ApplyCall,
  before: Properties,
  inputs: Properties,
): Promise<ConfigurationLookResult> {
  const wanted = configurationInputs(inputs);
  const sink = call.surroundings.statusOf(call.urn);
  return withConnections(call, inputs, async (connections): Promise<ConfigurationLookResult> => {
    const found = await findConfiguration(call, connections.to(wanted.node));
    if (found.state === "unreachable") {
      sink.warn(
        coded(
          "config-unreadable",
          `${nodeLabel(wanted)}: its configuration could not be read, so the changes there are unknown: ${found.reason}`,
          accessHint(found.reason),
        ),
      );
      return { changes: [unansweredLine(nodeLabel(wanted))], failures: [] };
    }
    if (found.state === "maintenance") {
      if (before["machineConfiguration"] === undefined)
        return { changes: [firstConfigurationLine], failures: [] };
      return { changes: [], failures: [{ property: "node", reason: reinstallRefusal(wanted, call.urn) }] };
    }
    try {
      const { lines, refusal } = judgeChange(wanted, found.configuration, lastGivenConfiguration(before));
      if (!isDue(before, inputs, lines)) {
        const drift = driftLines(wanted, found.configuration);
        // A refresh found it, and this preview shows what will be reverted: deploying it is the consent.
        if (before[driftProperty] !== undefined && lines.length > 0 && refusal === undefined)
          return { changes: lines, failures: [] };
        if (drift.length > 0) sink.warn(driftWarning(wanted, drift));
        return { changes: [], drift, failures: [] };
      }
      if (restartsKubelet(lines)) {
        const warning = await kubeletWarning({ ...call, wanted, connections }, wanted.drain.enabled);
        if (warning !== undefined) sink.warn(warning);
      }
      const taints = taintWarning(wanted, lines);
      if (taints !== undefined) sink.warn(taints);
      const problem = refusal ?? (await iscsiRemovalProblem({ ...call, wanted, connections }, lines));
      return {
        changes: lines,
        failures: problem === undefined ? [] : [{ property: "node", reason: problem }],
      };
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      return { changes: [], failures: [{ property: "node", reason: error.message }] };
    }
  });
}

/** Whether a refresh found a manual change that this preview reverts. One that is left alone stays in the inputs. */
function isRestored(before: Properties, inputs: Properties): boolean {
  return before[driftProperty] !== undefined && inputs[driftProperty] === undefined;
}

/**
 * Whether these differing lines should be applied. Not if the node already received this very configuration: then they were changed manually. A state of 0.1.0
 * doesn't show whether what passed the guard was applied; it was not if the node differs in every line that the guard announced.
 */
function isDue(before: Properties, inputs: Properties, lines: readonly string[]): boolean {
  if (!isSameConfiguration(before, inputs, "machineConfiguration")) return true;
  if (before[pendingProperty] !== undefined) return lines.length > 0;
  const announced = linesOfProperty(before, changesProperty);
  return isGuardState(before) && announced.length > 0 && announced.every((line) => lines.includes(line));
}

/** The desired installer image, which the node's upgrade shows. */
const imageLine = /^[~+-] machine\.install\.image: /;

/**
 * The engine's own comparison shows too much: a check that found nothing to apply is no change, and for a change the lines it makes on the node are enough.
 * @param oldInputs as the engine shows them
 */
export function diffConfiguration(
  olds: Properties,
  news: Properties,
  oldInputs: Properties,
): DetailedDiffResult {
  const [before, after] = [outputsWithGiven(olds), unwrap(news).values];
  if (before["node"] !== after["node"]) return { changes: true, replaces: ["node"] };
  const detailed = [
    ...[changesProperty, driftProperty, pendingProperty, refusedProperty, approvalProperty],
    ...policyProperties,
    ...alwaysSecret,
  ];
  const same = (["machineConfiguration", "configuration"] as const).filter((key) =>
    isSameConfiguration(before, after, key),
  );
  const isSameResult = same.includes("machineConfiguration") && samePatches(before, after);
  const unchanged = [...detailed, ...same, ...(isSameResult ? ["patches"] : [])];
  const others = changedInputs(before, after, unchanged);
  const changed = Object.keys(others);
  const [history, lines] = [
    linesOfProperty(oldInputs, changesProperty),
    linesOfProperty(after, changesProperty),
  ];
  // Outputs hold what the node was given, like the inputs: only the new lines show what is reverted.
  const restores = isRestored(before, after) && lines.length > history.length;
  if (changed.length === 0 && before[pendingProperty] === undefined && !restores) return { changes: false };
  // For a refresh finding, the engine shows everything that differs.
  if (!restores && JSON.stringify(before[driftProperty]) !== JSON.stringify(after[driftProperty])) return {};
  const goesOn = history.every((line, index) => line === lines[index]);
  const details: Details = {};
  const show = (isShown: (line: string) => boolean): void => {
    lines.forEach((line, index) => {
      if (index >= (goesOn ? history.length : 0) && isShown(line))
        details[`${changesProperty}[${index}]`] = "add";
    });
  };
  // The node's upgrade shows the image.
  show((line) => !imageLine.test(line));
  if (after[changesProperty] === unknownValue) details[changesProperty] = "add";
  if (after[driftProperty] !== undefined) details[driftProperty] = "add";
  for (const [key, kind] of Object.entries(others)) if (!longProperties.includes(key)) details[key] = kind;
  // If nothing is shown, the engine lists all inputs as they were.
  if (Object.keys(details).length === 0) show(() => true);
  // A secret, which no line shows.
  if (Object.keys(details).length === 0) details["machineConfiguration"] = "update";
  return {
    changes: true,
    changed: [...changed, ...(lines.length > history.length ? [changesProperty] : [])],
    details,
  };
}

/** Applies the configuration to the node, or finds it there. */
export async function deployConfiguration(
  call: ApplyCall,
  last: { id: string; olds: Properties } | undefined,
  news: Properties,
  onApplied: (name: string) => void = () => undefined,
): Promise<Properties> {
  const { values, secrets } = unwrap(news);
  const before = last === undefined ? {} : outputsWithGiven(last.olds);
  const wanted = configurationInputs(values);
  const outcome = await withConnections(call, values, (connections) =>
    applyConfiguration(call, connections, {
      wanted,
      isNew: last === undefined,
      before: lastGivenConfiguration(before),
      isDue: (lines) => isDue(before, values, lines) || isRestored(before, values),
      settles: isSameConfiguration(before, values, "machineConfiguration"),
      resumes: before[pendingProperty] !== undefined,
    }),
  );
  if (outcome.applied) onApplied(wanted.name);
  if (outcome.failure === undefined) return toState(values, secrets);
  if (!outcome.applied) throw outcome.failure;
  throw new UnfinishedError(
    outcome.failure.message,
    last?.id ?? wanted.node,
    toState({ ...values, [pendingProperty]: true }, secrets),
  );
}

/**
 * The state with the node's actual configuration instead of the given one, and the lines that differ.
 * @param ahead what a refresh has read already
 */
export async function readNodeConfiguration(
  call: ApplyCall,
  state: Properties,
  ahead?: Pick<ReadAhead, "takeConfiguration">,
): Promise<{ inputs: Properties; props: Properties }> {
  const { secrets } = unwrap(state);
  const values = outputsWithGiven(state);
  const wanted = configurationInputs(values);
  const found = await withConnections(
    call,
    values,
    async (connections) =>
      (await ahead?.takeConfiguration(connections.connectionTo(wanted.node))) ??
      findConfiguration(call, connections.to(wanted.node)),
  );
  const marked = new Set([...secrets, ...configurationSecrets]);
  if (found.state !== "configured") {
    const reason = found.state === "maintenance" ? "it waits for its first configuration" : found.reason;
    call.surroundings
      .statusOf(call.urn)
      .warn(
        coded(
          "node-unreachable",
          `${nodeLabel(wanted)} could not be read; its state is unchanged: ${reason}`,
        ),
      );
    return { inputs: inputsOf(values, marked), props: toState(values, secrets) };
  }
  const { [driftProperty]: _drift, ...rest } = values;
  const drift = driftLines(wanted, found.configuration);
  // Without a difference, the node has the configuration shown in the state.
  const live =
    drift.length === 0
      ? rest
      : {
          ...rest,
          configuration: redactedRunningConfiguration(wanted, found.configuration),
          [driftProperty]: drift,
        };
  return { inputs: inputsOf(live, marked), props: toState(live, secrets) };
}

/** A state's outputs, with the values of `given` in their own properties. */
function outputsWithGiven(state: Properties): Properties {
  const { [givenProperty]: given, ...rest } = unwrap(state).values;
  return { ...rest, ...(given as Properties | undefined) };
}

/** The part kept in the state. */
function toState(values: Properties, secrets: ReadonlySet<string>): Properties {
  const entries = Object.entries(values);
  const given = Object.fromEntries(entries.filter(([key]) => longProperties.includes(key)));
  const rest = Object.fromEntries(entries.filter(([key]) => !longProperties.includes(key)));
  return wrap({ ...rest, [givenProperty]: given }, [...secrets, ...configurationSecrets, givenProperty]);
}

function inputsOf({ [pendingProperty]: _pending, ...inputs }: Properties, marked: Set<string>): Properties {
  return wrap(inputs, marked);
}

/** The configuration last given to the node; undefined if none, or unknown. */
function lastGivenConfiguration({ machineConfiguration }: Properties): string | undefined {
  return typeof machineConfiguration === "string" ? machineConfiguration : undefined;
}

async function withConnections<T>(
  { surroundings }: ApplyCall,
  inputs: Properties,
  work: (connections: Connections) => Promise<T>,
): Promise<T> {
  const { node, endpoint, endpoints, clientConfiguration } = configurationInputs(inputs);
  const connections = new Connections(await surroundings.talos(), clientConfiguration, (address) =>
    address === node && endpoint !== undefined ? [endpoint] : reach(address, endpoints),
  );
  try {
    return await work(connections);
  } finally {
    connections.close();
  }
}
