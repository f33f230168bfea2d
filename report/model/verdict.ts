import semver from "semver";
import type { Counts } from "./resources.ts";
import type { KubernetesChange } from "./kubernetes.ts";
import type { DriverPlan, StorageLoss } from "./storage.ts";
import type { NodePlan } from "./nodes.ts";

/** What a reader needs to know first. */
export interface Verdict {
  /**
   * - `failed`: the preview did not finish
   * - `danger`: data, or the access to it, may be lost
   * - `careful`: nodes reboot, or may, or their Kubernetes is upgraded
   * - `calm`: something changes, no node goes down
   * - `nothing`: nothing changes
   */
  level: "failed" | "danger" | "careful" | "calm" | "nothing";
  /** One sentence, or two. */
  text: string;
}

export interface VerdictFacts {
  nodes: NodePlan[];
  drivers: DriverPlan[];
  losses: StorageLoss[];
  counts: Counts;
  errors: number;
  failed: boolean;
  isNewCluster: boolean;
  /** One for each cluster where it changes. */
  kubernetes: readonly KubernetesChange[];
}

export function verdictOf(facts: VerdictFacts): Verdict {
  const text = verdictSentences(facts);
  if (facts.failed) {
    const errors = facts.errors === 0 ? "" : ` with ${formatCount(facts.errors, "error")}`;
    return {
      level: "failed",
      text: `The preview failed${errors}: this report does not show everything that would happen. Do not approve it.`,
    };
  }
  const { create, update, replace, delete: deleted } = facts.counts;
  if (create + update + replace + deleted === 0) return { level: "nothing", text: "Nothing changes." };
  if (facts.losses.length > 0) return { level: "danger", text };
  const disturbs = facts.kubernetes.length > 0 || facts.nodes.some(({ reboot }) => reboot !== "no");
  return { level: disturbs ? "careful" : "calm", text };
}

function verdictSentences(facts: VerdictFacts): string {
  const parts = [
    nodesPart(facts),
    kubernetesPart(facts),
    configurationPart(facts),
    driversPart(facts.drivers),
  ].filter((part) => part !== "");
  const text = parts.join("; ");
  // A node's name is written as it is.
  return `${text.replace(/^(no|the|a|storage) /, (word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`)}.`;
}

function nodesPart({ nodes, isNewCluster }: VerdictFacts): string {
  const upgraded = nodes.filter(({ action }) => action === "upgrade");
  const looked = nodes.filter(({ action }) => action === "look");
  const joining = nodes.filter(({ action }) => action === "join");
  const leaving = nodes.filter(({ action }) => action === "leave");
  const wiped = nodes.filter(({ action }) => action === "reset");
  const parts: string[] = [];
  if (upgraded.length > 0)
    parts.push(
      `${formatCount(upgraded.length, "node")} will be ${upgraded.every(isRollback) ? "rolled back" : "upgraded"}${describeReleases(upgraded)} and ${upgraded.length === 1 ? "reboots" : "reboot"}${describeTimes(upgraded)}${describePace(upgraded)}`,
    );
  if (looked.length > 0 && isNewCluster) {
    parts.push(`a new cluster of ${formatCount(looked.length, "node")} is created`);
  } else if (looked.length > 0) {
    const releases = releasesOf(looked);
    const one = looked.length === 1;
    parts.push(
      `${formatCount(looked.length, "node")} ${one ? "joins" : "join"} the stack: ${one ? "it reboots unless it already runs" : "each reboots unless it already runs"} ${releases}${describePace(looked)}`,
    );
  }
  if (joining.length > 0 && isNewCluster)
    parts.push(`a new cluster of ${formatCount(joining.length, "node")} is created`);
  else if (joining.length > 0)
    parts.push(`${listNames(joining)} ${joining.length === 1 ? "joins" : "join"} the cluster`);
  if (wiped.length > 0)
    parts.push(
      `${listNames(wiped)} ${wiped.length === 1 ? "leaves" : "leave"} the cluster and WILL BE WIPED`,
    );
  if (leaving.length > 0)
    parts.push(`${listNames(leaving)} ${leaving.length === 1 ? "leaves" : "leave"} the stack`);
  if (parts.length === 0) {
    return "no node reboots";
  }
  return parts.join("; ");
}

function kubernetesPart({ kubernetes }: VerdictFacts): string {
  if (kubernetes.length === 0) return "";
  const ways = [...new Set(kubernetes.map(({ from, to }) => `from ${from} to ${to}`))];
  return `Kubernetes goes ${ways.join(" and ")}, one node at a time: API servers and kubelets restart`;
}

function configurationPart({ nodes }: VerdictFacts): string {
  if (nodes.some(({ action }) => action === "upgrade" || action === "look")) return "";
  const changed = nodes.filter(({ configuration }) =>
    ["changed", "unseen", "first"].includes(configuration.kind),
  );
  if (changed.length === 0) return "";
  return `the machine ${changed.length === 1 ? "configuration" : "configurations"} of ${formatCount(changed.length, "node")} ${changed.length === 1 ? "changes" : "change"}`;
}

function driversPart(drivers: DriverPlan[]): string {
  if (drivers.length === 0) return "";
  if (drivers.every(({ fate }) => fate === "stays")) return "storage drivers stay";
  const fateText = { goes: "WILL BE DELETED", changes: "changes", new: "is new", stays: "stays" } as const;
  return drivers
    .map(({ name, cluster, fate }) => {
      const of = cluster === "" ? "" : ` of ${cluster}`;
      return name === "Snapshot controller"
        ? `the snapshot controller${of} ${fateText[fate]}`
        : `the ${name} driver${of} ${fateText[fate]}`;
    })
    .join(", ");
}

/** ` from v1.12.7 to v1.13.9`, where all go the same way. */
function describeReleases(nodes: NodePlan[]): string {
  const ways = new Set(nodes.map(({ from, to }) => JSON.stringify([from?.version, to?.version])));
  const [first] = nodes;
  if (ways.size !== 1 || first?.from === undefined || first.to === undefined) return "";
  return first.from.version === first.to.version
    ? ` to another schematic of ${first.to.version}`
    : ` from ${first.from.version} to ${first.to.version}`;
}

/** ` 4 times`, where nodes are taken through releases between. */
function describeTimes(nodes: NodePlan[]): string {
  const counts = nodes.map(({ hops }) => hops.length + 1);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return most === 1 ? "" : least === most ? ` ${most} times` : ` up to ${most} times`;
}

/** Is an older release installed? */
export function isRollback({ from, to }: NodePlan): boolean {
  const [before, after] = [semver.parse(from?.version), semver.parse(to?.version)];
  return before !== null && after !== null && semver.lt(after, before);
}

function describePace(nodes: NodePlan[]): string {
  const controlPlanes = nodes.filter(({ role }) => role === "controlplane").length;
  const groups = Map.groupBy(
    nodes.filter(({ role }) => role === "worker"),
    ({ group }) => group,
  );
  const lanes = Math.max(0, ...[...groups.values()].map((own) => new Set(own.map(({ lane }) => lane)).size));
  const workers =
    lanes === 0 ? "" : lanes === 1 ? "one worker at a time" : `up to ${lanes} workers at a time`;
  if (nodes.length === 1) return "";
  if (controlPlanes === 0) return `, ${workers}`;
  if (lanes === 0) return ", one control plane at a time";
  return lanes === 1
    ? ", one at a time, control planes first"
    : `, one control plane at a time, then ${workers}`;
}

function releasesOf(nodes: NodePlan[]): string {
  const releases = [...new Set(nodes.flatMap(({ to }) => to?.version ?? []))];
  return releases.length === 1 ? `${releases[0]} with the wanted schematic` : "the wanted image";
}

export function listNames(nodes: readonly { name: string }[]): string {
  const all = nodes.map(({ name }) => name);
  if (all.length > 5) return `${all.slice(0, 4).join(", ")} and ${all.length - 4} others`;
  return all.length < 2 ? all.join("") : `${all.slice(0, -1).join(", ")} and ${all.at(-1)}`;
}

/** `1 node`, `5 nodes` */
export function formatCount(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
