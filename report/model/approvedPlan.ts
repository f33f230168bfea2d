import { planFromInput, type RolloutPlan } from "../../talos/rolloutPlan.ts";
import type { Digest } from "../digest/digest.ts";

const readinessType = "talos-node:index:RolloutReadiness";

/** The plan that this preview would carry out, for approval. */
export interface PlanToApprove {
  digest: string;
  plan: RolloutPlan;
}

/** Undefined where nothing changes, and where it is not known yet what the nodes are to be. */
export function planToApprove({ steps }: Digest): PlanToApprove | undefined {
  const inputs = steps.find(({ type }) => type === readinessType)?.new?.inputs ?? {};
  const plan = planFromInput(inputs["plan"]);
  const digest = inputs["planDigest"];
  return plan === undefined || typeof digest !== "string" ? undefined : { digest, plan };
}
