import { z } from "zod";
import { laneCount } from "../../talos/lanes.ts";
import { parseMembers, parseNames } from "../../talos/rolloutMembers.ts";
import type { Digest } from "../digest/digest.ts";
import { preflightType } from "./plan.ts";

/** Where a node comes in the rollout. */
export interface Place {
  /** The nodes that it shares a budget with: `control planes`, `workers`, `workers in pool gpu`. */
  group: string;
  /** Its lane within the group: as many nodes are taken at once as there are lanes. */
  lane: number;
}

const policySchema = z.object({
  nodes: z.string(),
  budgets: z.array(
    z.object({ group: z.string(), nodes: z.string(), maxUnavailable: z.union([z.number(), z.string()]) }),
  ),
});

export const controlPlanes = "control planes";

/** Each node's place by name, in rollout order, as the preflight has them. Undefined in previews that were saved with 0.1.0, which had no pools. */
export function plannedPlaces({ steps }: Digest): Map<string, Place> | undefined {
  const preflight = steps.find(({ type }) => type === preflightType);
  const policy = policySchema.safeParse((preflight?.new ?? preflight?.old)?.inputs["rollout"]).data;
  if (policy === undefined) return undefined;
  const places = new Map<string, Place>();
  for (const { name } of parseMembers(policy.nodes)) places.set(name, { group: controlPlanes, lane: 0 });
  for (const { group, nodes, maxUnavailable } of policy.budgets) {
    const workers = parseNames(nodes);
    const lanes = laneCount(workers.length, maxUnavailable);
    workers.forEach((name, index) => places.set(name, { group, lane: index % lanes }));
  }
  return places;
}
