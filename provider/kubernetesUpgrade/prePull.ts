import pLimit from "p-limit";
import { coded } from "../../talos/errorCodes.ts";
import { isUnimplemented, TalosError } from "../../talos/api/errors.ts";
import {
  imageForRelease,
  staticPodComponents,
  type KubernetesComponent,
} from "../../talos/kubernetesImages.ts";
import { throwIfCancelled } from "../context.ts";
import { nodeLabel } from "../inputs.ts";
import { whyWindowClosed } from "../rollout/window.ts";
import type { NodeLook } from "./look.ts";
import { KubernetesUpgradeError, type Work, type WorkNode } from "./work.ts";

/** How many nodes pull images concurrently: the registry, or the link to it, is shared. */
const maxConcurrentPulls = 4;

/** Pulls all images on all nodes, so that no component is down while it waits for a registry, and a missing image shows before anything has changed. */
export async function prePullImages(work: Work, looks: readonly NodeLook[]): Promise<void> {
  const { kubernetesVersion } = work.inputs;
  work.part(`pull of ${kubernetesVersion} on ${work.nodes.length} nodes`);
  const pull = (one: WorkNode): Promise<string | undefined> =>
    pullOnNode(work, one, lookOf(looks, one), kubernetesVersion);
  const pulled = await pLimit(maxConcurrentPulls).map(work.nodes, pull);
  refuseFailures(pulled, `No component was upgraded to ${kubernetesVersion}.`);
}

/**
 * Pulls the images of all releases on the way once, on a control plane, so that a missing one is not found halfway. One node is enough: all use the same registry. Pulled on all,
 * the images would fill the disks.
 */
export async function tryImagesOnTheWay(
  work: Work,
  looks: readonly NodeLook[],
  releases: readonly string[],
): Promise<void> {
  const [one] = work.controlPlanes;
  if (one === undefined || !work.inputs.prePull) return;
  // Outside the windows nothing is upgraded, and nothing needs to be pulled yet.
  if ((await whyWindowClosed(one.context)) !== undefined) return;
  work.part(`pull of ${releases.join(", ")} on ${one.node.name}`);
  const pulled: (string | undefined)[] = [];
  for (const release of releases) pulled.push(await pullOnNode(work, one, lookOf(looks, one), release));
  refuseFailures(pulled, "Nothing was upgraded.");
}

function lookOf(looks: readonly NodeLook[], { node }: WorkNode): NodeLook | undefined {
  return looks.find((look) => look.node.name === node.name);
}

/** @param now what is done so far, in a sentence */
function refuseFailures(pulled: readonly (string | undefined)[], now: string): void {
  const failures = pulled.filter((failed) => failed !== undefined);
  if (failures.length === 0) return;
  throw new KubernetesUpgradeError(
    "pull",
    coded("pull-failed", `images could not be pulled: ${failures.sort().join("; ")}`),
    `${now} Does the release exist, and can the nodes reach the registry (proxy, mirror, DNS)?`,
  );
}

async function pullOnNode(
  work: Work,
  { node, context }: WorkNode,
  look: NodeLook | undefined,
  target: string,
): Promise<string | undefined> {
  const { talos, timeouts, clock, signal } = context;
  // kube-proxy runs on every node or on none; like any DaemonSet's, its pods pull the image themselves.
  const components: KubernetesComponent[] =
    node.role === "controlplane" ? [...staticPodComponents, "kubelet"] : ["kubelet"];
  for (const component of components.filter((name) => !node.pinned.includes(name))) {
    throwIfCancelled(context);
    const image = imageForRelease(component, look?.images[component], target);
    try {
      await again(() =>
        talos.pullLegacy(
          image,
          { deadlineMs: work.inputs.timeoutSeconds * 1000, signal },
          component === "kubelet" ? "system" : "cri",
        ),
      );
    } catch (error) {
      if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
      // This release lacks the call; containerd pulls the image when it is needed.
      if (isUnimplemented(error)) return undefined;
      return `${image} on ${nodeLabel(node)}: ${error.detail}`;
    }
  }
  return undefined;

  async function again(pull: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await pull();
      } catch (error) {
        if (!(error instanceof TalosError) || error.kind !== "unreachable" || attempt === 3) throw error;
        await clock.sleep(timeouts.pollMaxMs, signal);
      }
    }
  }
}
