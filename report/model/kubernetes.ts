import { z } from "zod";
import { redactMessage } from "../digest/values.ts";
import { splitByCluster } from "./clusters.ts";
import type { Digest, Step } from "../digest/digest.ts";

export const kubernetesUpgradeType = "talos-node:index:KubernetesUpgrade";

/** The releases between which a cluster's Kubernetes goes. */
export interface KubernetesChange {
  from: string;
  to: string;
}

/** One for each cluster whose Kubernetes changes. */
export function kubernetesChanges({ steps }: Digest): KubernetesChange[] {
  return splitByCluster(steps).flatMap(({ resources }) => changeOf(resources) ?? []);
}

/** Undefined where the preview leaves it as it is, or only begins to own it. */
function changeOf(steps: readonly Step[]): KubernetesChange | undefined {
  const step = steps.find(({ type, operation }) => type === kubernetesUpgradeType && operation === "update");
  // After an upgrade that was not finished, and after a refresh, what runs is in the state alone.
  const before = step?.old?.outputs["kubernetesVersion"] ?? step?.old?.inputs["kubernetesVersion"];
  const after = step?.new?.inputs["kubernetesVersion"];
  if (typeof before !== "string" || typeof after !== "string") return undefined;
  return before === after && step?.old?.outputs["postponed"] === undefined
    ? undefined
    : { from: before, to: after };
}

const momentSchema = z.iso.datetime().transform((text) => Date.parse(text));
const timelineSchema = z.object({
  from: z.string(),
  to: z.string(),
  started: momentSchema,
  seconds: z.number().nonnegative(),
  ended: z.enum(["upgraded", "postponed", "failed", "cancelled"]),
  reason: z.string().transform(redactMessage).optional(),
  steps: z.array(z.object({ name: z.string(), started: momentSchema, seconds: z.number().nonnegative() })),
});

/** The last upgrade of a cluster's Kubernetes as its state has it (the output `timeline` of a KubernetesUpgrade). */
export type KubernetesTimeline = z.infer<typeof timelineSchema>;

/** Undefined where there was none, or the state is of another form. */
export function kubernetesTimeline(outputs: unknown): KubernetesTimeline | undefined {
  const value = (outputs as { timeline?: unknown } | null | undefined)?.timeline;
  return timelineSchema.safeParse(value).data;
}
