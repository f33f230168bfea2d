import type { UpgradeContext } from "./context.ts";
import type { NodeFacts } from "./facts.ts";
import { cordonAnnotation } from "./kubernetes.ts";
import { findNode } from "./steps/drain.ts";
import { releaseNode } from "./steps/uncordon.ts";

/** What has become of a node's cordon after an upgrade that failed; `unread`: Kubernetes did not tell. */
export type CordonState = "none" | "lifted" | "kept" | "unread";

/** @param cordoned this run has cordoned it */
export function describeCordon(cordon: CordonState, cordoned: boolean): string {
  if (cordon === "lifted") return " It was uncordoned.";
  return cordon === "kept" || (cordon === "unread" && cordoned)
    ? " It stays cordoned until a later `pulumi up` has verified it."
    : "";
}

/** A node that may be down or in its new boot keeps its cordon, that of a run before included. */
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

/** The node is still in its old boot: whatever was cordoned for it, by this run or one before, can work again. */
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
