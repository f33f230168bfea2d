import type { UpgradeContext } from "../context.ts";
import { storageNote, type KubernetesNode } from "../kubernetes.ts";
import { storageBack } from "../storage/back.ts";
import { noteFrom } from "../storage/remember.ts";
import { answered } from "./drain.ts";

/** Step `storage`: the next node waits until this one's storage is well. Where nothing was noted before its drain, there is nothing to wait for. */
export async function awaitStorage(
  context: UpgradeContext,
  node: KubernetesNode | undefined,
  begin: () => void,
): Promise<void> {
  const text = node?.annotations[storageNote];
  const kubernetes = await context.kubernetes();
  if (node === undefined || text === undefined || kubernetes === undefined) return;
  const before = noteFrom(text);
  if (before !== undefined && context.wanted.storageGate.enabled !== false) {
    begin();
    await storageBack(context, kubernetes, node.name, before);
  }
  await answered(context, () => kubernetes.patchNode(node.name, { annotations: { [storageNote]: null } }));
}
