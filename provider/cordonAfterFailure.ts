import type { UpgradeContext } from "./context.ts";
import type { NodeFacts } from "./facts.ts";
import { cordonAnnotation } from "./kubernetes.ts";
import { findNode } from "./steps/drain.ts";
import { releaseNode } from "./steps/uncordon.ts";

/** The state of a node's cordon after a failed upgrade; `unread`: Kubernetes didn't answer. */
export type CordonState = "none" | "lifted" | "kept" | "unread";

/** @param cordoned whether this run cordoned the node */
export function describeCordon(cordon: CordonState, cordoned: boolean): string {
  if (cordon === "lifted") return " It was uncordoned.";
  return cordon === "kept" || (cordon === "unread" && cordoned)
    ? " It stays cordoned until a later `pulumi up` has verified it."
    : "";
}

/** A node that may be down or in its new boot keeps its cordon, even one from an earlier run. */
export async function readCordonState(
  context: UpgradeContext,
  facts: NodeFacts | undefined,
  cordoned: boolean,
): Promise<CordonState> {
  if (cordoned) return "kept";
  if (facts === undefined || context.signal.aborted) return "unread";
  try {
    const nodes = (await (await context.kubernetes())?.nodes()) ?? [];
    const node = findNode(nodes, facts.kubernetesNode, context.wanted.node);
    return node?.annotations[cordonAnnotation] === undefined ? "none" : "kept";
  } catch (error) {
    context.progress.detail(
      `could not determine whether it is cordoned: ${error instanceof Error ? error.message : String(error)}`,
    );
    return "unread";
  }
}

/** The node is still in its old boot: pods that had to leave it may return, whether this run or an earlier one cordoned it. */
export async function uncordonIfOurs(
  context: UpgradeContext,
  facts: NodeFacts | undefined,
): Promise<CordonState> {
  if (facts === undefined) return "none";
  try {
    const kubernetes = await context.kubernetes();
    if (kubernetes === undefined) return "none";
    const node = findNode(await kubernetes.nodes(), facts.kubernetesNode, context.wanted.node);
    if (node === undefined) return "none";
    return (await releaseNode(kubernetes, node, { installedToo: false })) ? "lifted" : "none";
  } catch (error) {
    context.progress.detail(
      `could not be uncordoned: ${error instanceof Error ? error.message : String(error)}`,
    );
    return "unread";
  }
}
