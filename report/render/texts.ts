import type { Estimate } from "../model/preview.ts";
import type { ConfigurationPlan } from "../model/configuration.ts";
import type { DiffLine } from "../model/lineDiff.ts";
import type { NodePlan } from "../model/nodes.ts";
import { isRollback } from "../model/verdict.ts";
import { formatDuration, formatImage } from "./format.ts";

/** Texts that Markdown and HTML share. */

/** What is done with a node, in a few words. */
export function actionText(node: NodePlan): string {
  const [from, to] = [formatImage(node.from, node.to), formatImage(node.to, node.from)];
  const through = node.hops.length === 0 ? "" : ` through ${node.hops.join(", ")}`;
  if (node.action === "upgrade")
    return `${isRollback(node) ? "rolled back" : "upgraded"} from ${from}${through} to ${to}`;
  if (node.action === "look") return `checked; upgraded unless it runs ${to}`;
  if (node.action === "verify") return `verified on ${to}`;
  if (node.action === "join") return `joins the cluster, installed with ${to}`;
  if (node.action === "reset")
    return "leaves the cluster: drained, removed from etcd if it is a control plane, then its machine is WIPED";
  if (node.action === "leave") return "leaves the stack; its machine is left alone";
  return `stays on ${to}`;
}

/** `reboots`, `4 reboots`, `no reboot` */
export function rebootText({ reboot, hops }: Pick<NodePlan, "reboot" | "hops">): string {
  if (reboot !== "yes") return reboot === "maybe" ? "may reboot" : "no reboot";
  return hops.length === 0 ? "reboots" : `${hops.length + 1} reboots`;
}

/** Why a node may or may not reboot, where that is not obvious. */
export function rebootReason(node: NodePlan): string {
  if (node.action === "upgrade") return "";
  if (node.action === "look") return "A node that already runs the wanted image is not rebooted.";
  return "";
}

/** What happens to the configuration of these nodes, and when it takes effect. */
export function configurationText(configuration: ConfigurationPlan, nodes: readonly NodePlan[]): string {
  const upgraded = nodes.every(({ action }) => action === "upgrade");
  const when = upgraded
    ? "Applied at once; changes that need a reboot wait for the upgrade's reboot."
    : "Applied at once; changes that need a reboot wait for the node's next reboot.";
  switch (configuration.kind) {
    case "changed":
      return when;
    case "first":
      return configuration.onNode === undefined
        ? `The first configuration that this stack applies: the node's current one is unknown, and the one below replaces it. ${when}`
        : `The first configuration that this stack applies. Compared with the nodes' current one, it changes this. ${when}`;
    case "unknown":
      return "Known only after the first `pulumi up` has generated the cluster's secrets. The requested settings are with the cluster, below.";
    case "unseen":
      return `Applied again without a visible change: a secret in it changed. ${when}`;
    case "same":
      return "Unchanged.";
    case "gone":
      return "No longer managed by this stack; the node keeps its configuration.";
  }
}

/** `about 15 min, by the last upgrade of these nodes` */
export function estimateText({ seconds, known, due }: Estimate): string {
  const of =
    known === due
      ? "based on the last upgrade of these nodes"
      : `based on the last upgrade of ${known} of the ${due} nodes`;
  return `about ${formatDuration(seconds)}, ${of}`;
}

/** The nodes that something is done with, in the order of the rollout: control planes in a row, then the lanes of each group of workers. */
export function stagesOf(nodes: readonly NodePlan[]): { title: string; lanes: NodePlan[][] }[] {
  const touched = nodes.filter(
    ({ action }) => action === "upgrade" || action === "look" || action === "verify",
  );
  return [...Map.groupBy(touched, ({ group }) => group)].map(([group, members]) => {
    const lanes = [...Map.groupBy(members, ({ lane }) => lane).values()];
    const pace = lanes.length === 1 ? "one" : String(lanes.length);
    return { title: `${group.charAt(0).toUpperCase()}${group.slice(1)}, ${pace} at a time`, lanes };
  });
}

export const operationText = {
  create: "create",
  update: "update",
  replace: "replace",
  delete: "delete",
  import: "import",
} as const;

export const operationSign = {
  create: "+",
  update: "~",
  replace: "±",
  delete: "−",
  import: "=",
} as const;

/** What happens to a storage object. */
export const lossText = { delete: "Deleted", replace: "Replaced", reset: "Wiped" } as const;

/** What a configuration changes on a node as it runs, with a colour for what is gained and lost. */
export function onNodeLines(lines: readonly string[]): DiffLine[] {
  if (lines.length === 0) return [{ kind: "kept", text: "nothing: the node already has all of it" }];
  return lines.map((line) => ({
    kind: line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : "kept",
    text: line,
  }));
}
