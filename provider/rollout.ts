import { isDeepStrictEqual } from "node:util";
import { approvalProperty } from "./approval.ts";
import { changedInputs, type DetailedDiffResult, type Details } from "./detailedDiff.ts";
import { nodesByName } from "../talos/nodesByName.ts";
import { describeHopsLeft } from "./hops/hopsLeft.ts";
import { kubernetesHopKey, previewRollout } from "./rolloutPreview.ts";
import { rolloutPolicySchema } from "../talos/inputs/rolloutPolicy.ts";
import { unknownValue } from "../talos/secrecy/engineValues.ts";
import type { Properties } from "./secrets.ts";
import type { Surroundings } from "./session.ts";
import { alwaysSecret } from "./state.ts";

/**
 * What the rollout would do, for the preview. Read from the nodes if their desired state has changed, otherwise reused: a preview without a change asks no
 * node.
 */
export async function rolloutPlanInput(
  surroundings: Surroundings,
  urn: string,
  olds: Properties,
  news: Properties,
  signal: AbortSignal,
  isDeployment: boolean,
): Promise<unknown> {
  const isSame = olds["plan"] !== undefined && isDeepStrictEqual(plannedInputs(olds), plannedInputs(news));
  if (isSame && !mayBePostponed(olds, news)) return planByNode(olds["plan"]);
  const known = new Set(nodesByName(olds["nodes"]).map(([name]) => name));
  const plan = await previewRollout(surroundings, urn, news, ({ name }) => known.has(name), signal);
  const sink = surroundings.statusOf(urn);
  // A deployment has changed the nodes since; its preflight reports what blocks the rollout then.
  const obstacles = isDeployment ? [] : (plan?.obstacles ?? []);
  for (const warning of [...obstacles, ...(plan?.warnings ?? [])]) sink.warn(warning);
  if (!isDeployment) for (const note of plan?.notes ?? []) sink.info(note);
  return plan?.nodes;
}

/** A rollout with hops may have stopped on the way when its window closed. Inputs don't show that, so the nodes are asked. */
function mayBePostponed({ plan, hops }: Properties, news: Properties): boolean {
  if (hops === undefined || (rolloutPolicySchema.safeParse(news["rollout"]).data?.windows ?? []).length === 0)
    return false;
  // Kubernetes may wait even if each node is one reboot from its release.
  return Object.entries((planByNode(plan) ?? {}) as Properties).some(
    ([name, line]) => name === kubernetesHopKey || / reboots\b/.test(String(line)),
  );
}

/**
 * What a preview shows of a change: what happens to each node in this rollout, not in the last one. The nodes' own upgrades show their desired images.
 * @param isPostponed hops are left from the last deployment
 */
export function diffRollout(olds: Properties, news: Properties, isPostponed = false): DetailedDiffResult {
  const keyed = (inputs: Properties): Properties => ({
    ...inputs,
    nodes: Object.fromEntries(nodesByName(inputs["nodes"])),
  });
  // Kubernetes is only read here; its own upgrade changes it.
  const apart = ["plan", "rollout", "hops", "kubernetesVersion", approvalProperty, ...alwaysSecret];
  const { nodes, ...others } = changedInputs(keyed(olds), keyed(news), apart);
  const isDue = nodes !== undefined || isPostponed;
  const changed = [...(isDue ? ["nodes", "plan"] : []), ...Object.keys(others)];
  if (changed.length === 0) return { changes: false };
  const details: Details = { ...others };
  const { plan } = news;
  if (isDue || "schematicId" in others) {
    for (const [name, text] of Object.entries(typeof plan === "object" && plan !== null ? plan : {}))
      if (!String(text).endsWith("already, no reboot")) details[propertyPath("plan", name)] = "add";
    if (plan === unknownValue) details["plan"] = "add";
  }
  // Without details, the engine lists all inputs; this one is hidden.
  if (Object.keys(details).length === 0) details["nodes"] = "update";
  return { changes: true, changed, details };
}

/** A preflight after a refresh. If nodes have fallen behind since, such as one that was restored, it has hops left, and its plan is outdated. */
export async function readRollout(
  surroundings: Surroundings,
  urn: string,
  state: Properties,
  signal: AbortSignal,
): Promise<{ inputs: Properties; props: Properties }> {
  const { due: _due, postponed, hopsTaken: _hopsTaken, ...inputs } = state;
  const left = postponed ?? (await describeHopsLeft(surroundings, urn, inputs, signal));
  if (left === postponed) return { inputs, props: state };
  const { plan: _plan, ...rest } = inputs;
  return { inputs: rest, props: { ...state, postponed: left } };
}

/** A node's path among a property's values: names with dots are quoted. */
export function propertyPath(property: string, name: string): string {
  return /^[\w-]+$/.test(name) ? `${property}.${name}` : `${property}[${JSON.stringify(name)}]`;
}

/** The nodes' desired state and what is checked first: the plan depends on nothing else. */
function plannedInputs({ nodes, schematicId, rollout }: Properties): Properties {
  return {
    nodes: Object.fromEntries(nodesByName(nodes)),
    schematicId,
    gates: rolloutPolicySchema.safeParse(rollout).data?.gates ?? [],
  };
}

/** Plans of 0.1.0 are lists of lines that start with the node's name. */
function planByNode(plan: unknown): unknown {
  if (!Array.isArray(plan)) return plan;
  return Object.fromEntries(
    plan.map((line) => {
      const [, name = "", text = ""] = /^(.+?): (.*)$/s.exec(String(line)) ?? [];
      return [name, text];
    }),
  );
}
