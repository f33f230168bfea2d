import { KubernetesError, type KubernetesClient } from "../kubernetes.ts";
import { listFirst } from "./describe.ts";

/** What reviewers must know about a cluster's storage before a rollout, one warning each. Read once for all nodes. */
export async function collectStorageWarnings(
  kubernetes: KubernetesClient,
  { drains, gates }: { drains: "stop" | "delete" | undefined; gates: boolean },
): Promise<string[]> {
  try {
    const [budgets, problems] = await Promise.all([
      drains === undefined ? [] : blockedBudgetWarnings(kubernetes, drains),
      gates ? existingProblemWarnings(kubernetes) : [],
    ]);
    return [...budgets, ...problems];
  } catch (error) {
    // The nodes' guards report whether the API answers.
    if (!(error instanceof KubernetesError)) throw error;
    return [];
  }
}

async function blockedBudgetWarnings(
  kubernetes: KubernetesClient,
  whenBlocked: "stop" | "delete",
): Promise<string[]> {
  const blocked = (await kubernetes.storage.budgets()).filter(({ allowed }) => allowed <= 0);
  const found = await Promise.all(
    blocked.map(async ({ namespace, name, selector }) => {
      const pods = await kubernetes.storage.podsOf(namespace, selector);
      return pods.length === 0 ? [] : [`${namespace}/${name} (pods ${pods.join(", ")})`];
    }),
  );
  const entries = found.flat();
  if (entries.length === 0) return [];
  const outcome = whenBlocked === "stop" ? "wait for them, and stop the rollout" : "delete them in the end";
  return [
    `PodDisruptionBudgets that allow no disruption now: ${listFirst(entries)}. A drain of a node with these pods would ${outcome} (upgrade.drain.whenBlocked: ${whenBlocked})`,
  ];
}

/** The gate between nodes ignores existing problems, so they are reported before the rollout. */
async function existingProblemWarnings(kubernetes: KubernetesClient): Promise<string[]> {
  const [{ objects: attachments }, pending] = await Promise.all([
    kubernetes.storage.attachments.list(),
    kubernetes.storage.pendingPods(),
  ]);
  const entries = [
    ...attachments.flatMap(({ name, volume, node, error }) =>
      error === "" ? [] : [`volume ${volume || name} on ${node}: ${error}`],
    ),
    ...pending.flatMap(({ namespace, name, claims, reason }) =>
      claims.length === 0
        ? []
        : [`pod ${namespace}/${name} does not run${reason === "" ? "" : `: ${reason}`}`],
    ),
  ];
  if (entries.length === 0) return [];
  return [`storage problems before the rollout, which do not stop it: ${listFirst(entries)}`];
}
