import type { UpgradeContext } from "../context.ts";
import { storageAnnotation, type KubernetesNode } from "../kubernetes.ts";
import { awaitStorageBack } from "../storage/awaitStorageBack.ts";
import { parseStorageNote } from "../storage/storageNote.ts";
import { retryKubernetes } from "./drain.ts";

/** Step `storage`: the next node waits until this one's storage is healthy. Without a note from before its drain, there is nothing to wait for. */
export async function awaitNotedStorage(
  context: UpgradeContext,
  node: KubernetesNode | undefined,
  begin: () => void,
): Promise<void> {
  const text = node?.annotations[storageAnnotation];
  const kubernetes = await context.kubernetes();
  if (node === undefined || text === undefined || kubernetes === undefined) return;
  const before = parseStorageNote(text);
  if (before !== undefined && context.wanted.storageGate.enabled !== false) {
    begin();
    await awaitStorageBack(context, kubernetes, node.name, before);
  }
  await retryKubernetes(context, () =>
    kubernetes.patchNode(node.name, { annotations: { [storageAnnotation]: null } }),
  );
}
