import type { UpgradeContext } from "../context.ts";
import type { NodeFacts } from "../facts.ts";
import { installedImage, KubernetesError } from "../kubernetes.ts";
import { answered, findNode } from "./drain.ts";

/** How far an earlier run, that was stopped before the reboot, had come with this image in this very boot. */
export type EarlierInstall = "nothing" | "begun" | "done";

/** Reads the note that an earlier run has left on the Kubernetes node. */
export async function earlierInstall(context: UpgradeContext, before: NodeFacts): Promise<EarlierInstall> {
  const kubernetes = await context.kubernetes();
  if (kubernetes === undefined || before.bootId === undefined) return "nothing";
  const nodes = await answered(context, () => kubernetes.nodes());
  const written = findNode(nodes, before.kubernetesNode, context.wanted.node)?.annotations[installedImage];
  if (written === note("done", before.bootId, context.wanted.image)) return "done";
  return written === note("begun", before.bootId, context.wanted.image) ? "begun" : "nothing";
}

/** Leaves a note for a later run. It only spares that run a second installation, so the upgrade goes on without it. */
export async function noteInstall(
  context: UpgradeContext,
  before: NodeFacts,
  kubernetesNode: string | undefined,
  state: "begun" | "done",
): Promise<void> {
  if (kubernetesNode === undefined || before.bootId === undefined) return;
  const annotations = { [installedImage]: note(state, before.bootId, context.wanted.image) };
  try {
    await (await context.kubernetes())?.patchNode(kubernetesNode, { annotations });
  } catch (error) {
    if (!(error instanceof KubernetesError)) throw error;
  }
}

function note(state: "begun" | "done", bootId: string, image: string): string {
  return `${state} ${bootId} ${image}`;
}
