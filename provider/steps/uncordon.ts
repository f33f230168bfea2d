import { coded } from "../../talos/errorCodes.ts";
import { stepError, pollUntil, type UpgradeContext } from "../context.ts";
import type { NodeFacts } from "../facts.ts";
import {
  cordonAnnotation,
  installAnnotation,
  KubernetesError,
  storageAnnotation,
  type KubernetesClient,
  type KubernetesNode,
} from "../kubernetes.ts";
import { talosctlCommand } from "../talosctl.ts";
import { findNode } from "./drain.ts";

/**
 * Step `uncordon`: waits until Kubernetes reports the node Ready in its current boot, and lifts the cordon if it is ours, from this run or a killed one.
 * @returns the node at that time; undefined without Kubernetes
 */
export async function uncordon(
  context: UpgradeContext,
  before: NodeFacts,
  after: NodeFacts,
): Promise<KubernetesNode | undefined> {
  const kubernetes = await context.kubernetes();
  if (kubernetes === undefined) return undefined;
  const { wanted, progress } = context;
  const rebooted = after.bootId !== before.bootId;
  let last = coded("kubernetes-unreachable", "the Kubernetes API does not answer");

  const done = await pollUntil(context, context.timer.end, async () => {
    try {
      const node =
        after.kubernetesNode === undefined
          ? findNode(await kubernetes.nodes(), undefined, wanted.node)
          : await kubernetes.node(after.kubernetesNode);
      if (node === undefined) {
        last = coded("node-not-in-kubernetes", "Kubernetes does not know this node");
      } else if (!node.ready) {
        last = coded("node-not-ready", `Kubernetes reports the node as not Ready: ${node.reason}`);
      } else if (rebooted && node.bootId !== "" && node.bootId === before.bootId) {
        last = coded("node-not-ready", "the kubelet has not reported since the reboot");
      } else {
        await releaseNode(kubernetes, node, { installedToo: true });
        return node;
      }
    } catch (error) {
      if (!(error instanceof KubernetesError)) throw error;
      last = coded("kubernetes-unreachable", error.message);
      if (!error.transient) throw error;
    }
    progress.detail(last);
    return undefined;
  });
  if (done !== undefined) return done;
  throw stepError(
    context,
    "uncordon",
    last,
    `The node runs the wanted image. Check its kubelet (${talosctlCommand("logs kubelet", wanted.node)}); run \`pulumi up\` again when it is Ready.`,
  );
}

/**
 * Removes what this program wrote on a node, in one write; somebody else's cordon stays.
 * @param options.installedToo the node completed its upgrade: its installation note is outdated, but its storage is still waited for; an undisturbed node's is
 * not
 */
export async function releaseNode(
  kubernetes: Pick<KubernetesClient, "patchNode">,
  node: KubernetesNode,
  options: { installedToo: boolean },
): Promise<boolean> {
  const ours = node.annotations[cordonAnnotation] !== undefined;
  const noted = options.installedToo && node.annotations[installAnnotation] !== undefined;
  const remembered = !options.installedToo && node.annotations[storageAnnotation] !== undefined;
  if (!ours && !noted && !remembered) return false;
  await kubernetes.patchNode(node.name, {
    ...(ours ? { unschedulable: false } : {}),
    annotations: {
      ...(ours ? { [cordonAnnotation]: null } : {}),
      ...(noted ? { [installAnnotation]: null } : {}),
      ...(remembered ? { [storageAnnotation]: null } : {}),
    },
  });
  return ours;
}
