import { coded } from "../../talos/errorCodes.ts";
import { isTransient, TalosError } from "../../talos/api/errors.ts";
import type { StaticPod } from "../../talos/api/talosClient.ts";
import { releaseOfImage, type staticPodComponents } from "../../talos/kubernetesImages.ts";
import { pollUntil } from "../context.ts";
import { nodeLabel } from "../inputs.ts";
import { talosctlCommand } from "../talosctl.ts";
import { setComponentImage } from "./componentImage.ts";
import { KubernetesUpgradeError, type Work, type WorkNode } from "./work.ts";

type Component = (typeof staticPodComponents)[number];

/**
 * Upgrades one component on one control plane: sets the image in its configuration, then waits until its pod is ready with it. All of this runs under one
 * cluster lock, so no other control plane is disturbed before this one is healthy. If the pod already runs the release, this only reads.
 */
export async function upgradeStaticPod(work: Work, one: WorkNode, component: Component): Promise<void> {
  const { node, context } = one;
  if (node.pinned.includes(component)) return;
  const target = work.inputs.kubernetesVersion;
  const look = async (): Promise<StaticPod | undefined> =>
    context.talos.staticPod(component, { deadlineMs: context.timeouts.probeMs * 2, signal: work.signal });
  const where = `${nodeLabel(node)}, ${component}`;
  work.part(`${component} ${target} on ${node.name}`, where);
  await context.gate.underLock(async () => {
    context.timer.start();
    await setComponentImage(work, one, component, (await look())?.wantedImage);
    let last = "nothing is known of its pod";
    const ready = await pollUntil(context, context.timer.end, async () => {
      try {
        const trouble = whyNotRunning(await look(), target);
        if (trouble === undefined) return true;
        last = trouble;
      } catch (error) {
        if (!(error instanceof TalosError) || !isTransient(error)) throw error;
        last = `${error.call}: ${error.detail}`;
      }
      context.progress.detail(`waiting: ${last}`);
      return undefined;
    });
    if (ready === true) return;
    throw new KubernetesUpgradeError(
      where,
      coded(
        "kubernetes-not-running",
        `it does not run ${target} after ${work.inputs.timeoutSeconds} s: ${last}`,
      ),
      `No control plane after it was touched. Check ${talosctlCommand("containers --kubernetes", node.node)} and the log of ${component} there; then run \`pulumi up\` again: it continues from here.`,
    );
  });
}

/** Why the pod doesn't count as running the release; undefined if it does. */
function whyNotRunning(pod: StaticPod | undefined, target: string): string | undefined {
  if (pod === undefined) return "nothing is known of its pod";
  const [wanted, runs] = [releaseOfImage(pod.wantedImage), releaseOfImage(pod.image)];
  if (wanted !== undefined && wanted !== target) return `its manifest still has ${wanted}`;
  if (runs !== undefined && runs !== target) return `its pod still runs ${runs}`;
  if (pod.outdated) return "its pod has not been restarted with the new manifest yet";
  return pod.ready ? undefined : "its pod is not ready";
}
