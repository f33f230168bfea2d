import { isDeepStrictEqual } from "node:util";
import { planRollout } from "./plan.ts";
import { policyOf } from "./rollout/policy.ts";
import type { Properties } from "./secrets.ts";
import type { Surroundings } from "./session.ts";

/**
 * What the rollout would do, for the preview to show. Read from the nodes when what they are to run has changed, else what was read then:
 * a preview without a change asks no node.
 */
export async function plannedRollout(
  surroundings: Surroundings,
  urn: string,
  olds: Properties,
  news: Properties,
  signal: AbortSignal,
): Promise<unknown> {
  if (olds["plan"] !== undefined && isDeepStrictEqual(wantedOf(olds), wantedOf(news))) return olds["plan"];
  const known = namesOf(olds);
  const plan = await planRollout(surroundings, urn, news, ({ name }) => known.includes(name), signal);
  const sink = surroundings.statusOf(urn);
  for (const warning of plan?.warnings ?? []) sink.warn(warning);
  return plan?.lines;
}

/** What the nodes are to run, and what is looked at before: the plan is about nothing else. */
function wantedOf({ nodes, schematicId, kubernetesVersion, rollout }: Properties): Properties {
  return { nodes, schematicId, kubernetesVersion, gates: policyOf(rollout).gates };
}

/** The nodes that the state has. */
function namesOf({ nodes }: Properties): unknown[] {
  return Array.isArray(nodes) ? nodes.map((node) => (node as Properties | undefined)?.["name"]) : [];
}
