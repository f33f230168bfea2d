import { planFromInput, type RolloutPlan } from "../../talos/rolloutPlan.ts";
import type { Digest, Step } from "../digest/digest.ts";
import { splitByCluster } from "./clusters.ts";

const readinessType = "talos-node:index:RolloutReadiness";

/** The plan that this preview would carry out, for approval. */
export interface PlanToApprove {
  /** Name of its cluster in a program with several; empty otherwise. */
  cluster: string;
  digest: string;
  plan: RolloutPlan;
}

/** One for each cluster; none where nothing changes, and where it is not known yet what the nodes are to be. */
export function plansToApprove({ steps }: Digest): PlanToApprove[] {
  return splitByCluster(steps).flatMap(({ name, resources }) => planOf(name, resources) ?? []);
}

function planOf(cluster: string, steps: readonly Step[]): PlanToApprove | undefined {
  const inputs = steps.find(({ type }) => type === readinessType)?.new?.inputs ?? {};
  const plan = planFromInput(inputs["plan"]);
  const digest = inputs["planDigest"];
  return plan === undefined || typeof digest !== "string" ? undefined : { cluster, digest, plan };
}
