import type { Estimate } from "../model/preview.ts";
import type { ConfigurationPlan } from "../model/configuration.ts";
import type { DiffLine } from "../model/lineDiff.ts";
import type { NodePlan } from "../model/nodes.ts";
import { isRollback } from "../model/verdict.ts";
import { formatDuration, formatImage } from "./format.ts";

/** Words that Markdown and HTML share. */

/** What is done with a node, in a few words. */
export function actionText(node: NodePlan): string {
  const [from, to] = [formatImage(node.from, node.to), formatImage(node.to, node.from)];
  const through = node.hops.length === 0 ? "" : ` through ${node.hops.join(", ")}`;
  if (node.action === "upgrade")
    return `${isRollback(node) ? "taken back" : "upgraded"} from ${from}${through} to ${to}`;
  if (node.action === "look") return `looked at; upgraded if it does not run ${to}`;
  if (node.action === "verify") return `verified on ${to}`;
  if (node.action === "join") return `joins the cluster, installed with ${to}`;
  if (node.action === "reset")
    return "leaves the cluster: drained, taken out of etcd if it is a control plane, then its machine is WIPED";
  if (node.action === "leave") return "leaves the stack; its machine is left alone";
  return `stays on ${to}`;
}

/** `reboots`, `4 reboots`, `no reboot` */
export function rebootText({ reboot, hops }: Pick<NodePlan, "reboot" | "hops">): string {
  if (reboot !== "yes") return reboot === "maybe" ? "may reboot" : "no reboot";
  return hops.length === 0 ? "reboots" : `${hops.length + 1} reboots`;
}

/** Why a node may reboot or not, where that is no matter of course. */
export function rebootReason(node: NodePlan): string {
  if (node.action === "upgrade") return "";
  if (node.action === "look") return "A node that runs the wanted image already is not rebooted.";
  return "";
}

/** What happens to the configuration of these nodes, and when it takes effect. */
export function configurationText(configuration: ConfigurationPlan, nodes: readonly NodePlan[]): string {
  const upgraded = nodes.every(({ action }) => action === "upgrade");
  const when = upgraded
    ? "Applied at once; what needs a reboot waits for the one of the upgrade."
    : "Applied at once; what needs a reboot waits for the node's next boot.";
  switch (configuration.kind) {
    case "changed":
      return when;
    case "first":
      return configuration.onNode === undefined
        ? `The first that this stack applies: what the node has now is not known here, and what stands below takes its place. ${when}`
        : `The first that this stack applies. The nodes were asked what they have, and this is what it changes there. ${when}`;
    case "unknown":
      return "Known only when the cluster's secrets are made, in the first up. What was asked for stands with the cluster, below.";
    case "unseen":
      return `Applied anew without a readable change: a secret in it. ${when}`;
    case "same":
      return "Unchanged.";
    case "gone":
      return "No longer looked after by this stack; the node keeps what it has.";
  }
}

/** `about 15 min, by the last upgrade of these nodes` */
export function estimateText({ seconds, known, due }: Estimate): string {
  const of =
    known === due
      ? "by the last upgrade of these nodes"
      : `by the last upgrade of ${known} of the ${due} nodes`;
  return `about ${formatDuration(seconds)}, ${of}`;
}

/** The nodes that something is done with, in the order of the rollout: control planes in a row, then the lanes of workers. */
export function stagesOf(nodes: readonly NodePlan[]): { title: string; lanes: NodePlan[][] }[] {
  const touched = nodes.filter(
    ({ action }) => action === "upgrade" || action === "look" || action === "verify",
  );
  const controlPlanes = touched.filter(({ role }) => role === "controlplane");
  const workers = touched.filter(({ role }) => role === "worker");
  const lanes = Map.groupBy(workers, ({ lane }) => lane);
  return [
    ...(controlPlanes.length === 0
      ? []
      : [{ title: "Control planes, one at a time", lanes: [controlPlanes] }]),
    ...(workers.length === 0
      ? []
      : [
          {
            title: lanes.size === 1 ? "Workers, one at a time" : `Workers, ${lanes.size} at a time`,
            lanes: [...lanes.values()],
          },
        ]),
  ];
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

/** What becomes of something of the storage. */
export const lossText = { delete: "Deleted", replace: "Replaced", reset: "Wiped" } as const;

/** What a configuration changes on a node as it runs, with a colour for what is gained and lost. */
export function onNodeLines(lines: readonly string[]): DiffLine[] {
  if (lines.length === 0) return [{ kind: "kept", text: "nothing: the node has all of it" }];
  return lines.map((line) => ({
    kind: line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : "kept",
    text: line,
  }));
}
