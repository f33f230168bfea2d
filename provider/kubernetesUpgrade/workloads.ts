import { coded } from "../../talos/errorCodes.ts";
import { pollUntil } from "../context.ts";
import { KubernetesError, type KubernetesClient, type Manifest } from "../kubernetes.ts";
import { manifestLabel } from "./manifestChange.ts";
import { KubernetesUpgradeError, type Work, type WorkNode } from "./work.ts";

interface Workload {
  metadata?: { generation?: number };
  spec?: { replicas?: number };
  status?: {
    observedGeneration?: number;
    desiredNumberScheduled?: number;
    updatedNumberScheduled?: number;
    numberUnavailable?: number;
    replicas?: number;
    updatedReplicas?: number;
    unavailableReplicas?: number;
  };
}

/** Waits until the DaemonSets and Deployments among them are fully rolled out. */
export async function awaitRollouts(
  work: Work,
  { context }: WorkNode,
  kubernetes: KubernetesClient,
  applied: readonly Manifest[],
): Promise<void> {
  for (const manifest of applied.filter(({ kind }) => kind === "DaemonSet" || kind === "Deployment")) {
    const label = manifestLabel(manifest);
    work.part(`rollout of ${label}`);
    context.timer.start();
    let last = "";
    const done = await pollUntil(context, context.timer.end, async () => {
      try {
        last = whyNotRolledOut(((await kubernetes.liveManifest(manifest)) as Workload | undefined) ?? {});
      } catch (error) {
        if (!(error instanceof KubernetesError) || !error.transient) throw error;
        last = error.message;
      }
      context.progress.detail(`waiting: ${last}`);
      return last === "" ? true : undefined;
    });
    if (done === true) continue;
    throw new KubernetesUpgradeError(
      label,
      coded(
        "kubernetes-not-running",
        `its pods do not match the manifest after ${work.inputs.timeoutSeconds} s: ${last}`,
      ),
      "No kubelet was touched. Check its pods; then run `pulumi up` again: it continues from here.",
    );
  }
}

function whyNotRolledOut({ metadata, spec, status = {} }: Workload): string {
  if ((status.observedGeneration ?? 0) < (metadata?.generation ?? 0))
    return "its controller has not seen it yet";
  const wanted = status.desiredNumberScheduled ?? spec?.replicas ?? 0;
  const updated = status.updatedNumberScheduled ?? status.updatedReplicas ?? 0;
  const missing = status.numberUnavailable ?? status.unavailableReplicas ?? 0;
  if (wanted === 0) return "";
  return updated < wanted || missing > 0
    ? `${updated} of ${wanted} are updated, ${missing} are unavailable`
    : "";
}
