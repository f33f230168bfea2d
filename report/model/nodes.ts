import { departures, knownMembers, membersOf, type Departure } from "../../talos/members.ts";
import { nodesByName } from "../../talos/nodesByName.ts";
import { isFirstConfiguration, isUnanswered } from "../../talos/configurationLines.ts";
import { laneCount } from "../../talos/lanes.ts";
import type { Digest, Step } from "../digest/digest.ts";
import { unknownMark, type Properties } from "../digest/values.ts";
import { configurationPlan, type ConfigurationPlan } from "./configuration.ts";
import { controlPlanes, plannedPlaces, type Place } from "./order.ts";
import { splitByCluster } from "./clusters.ts";
import { preflightResults, preflightType, type PreflightResult } from "./plan.ts";
import { propertyChanges, type PropertyChange } from "./propertyDiff.ts";
import { parseTimeline, type Image, type Timeline } from "./timeline.ts";

export const nodeUpgradeType = "talos-node:index:NodeUpgrade";

/** What will be done with one node. */
export interface NodePlan extends Place {
  /** With its cluster's in a program with several: `edge/cp1`. */
  name: string;
  /** Name of its cluster in a program with several; empty otherwise. */
  cluster: string;
  address: string;
  role: "controlplane" | "worker";
  /**
   * - `upgrade`: it runs another image than it is to run, and will be upgraded
   * - `join`: it is no node of the cluster yet; it is installed with the image that it is to run
   * - `look`: what it runs is not known here; it is upgraded if it is another image
   * - `verify`: it is looked at; the image stays
   * - `reset`: it leaves the cluster, and its machine is wiped
   * - `leave`: it is taken out of the stack; its machine is left alone
   * - `none`: nothing
   */
  action: "upgrade" | "join" | "look" | "verify" | "reset" | "leave" | "none";
  reboot: "yes" | "maybe" | "no";
  /** Releases that it is taken through first, a rollout and a reboot each. */
  hops: string[];
  /** What it runs; undefined where that is not known. */
  from?: Image;
  to?: Image;
  /** Why its last operation was not finished; the next `up` takes it up again. */
  unfinished: string[];
  /** Inputs of its upgrade that change, apart from the image. */
  changes: PropertyChange[];
  last?: Timeline;
  configuration: ConfigurationPlan;
}

/** Every node of the stack, cluster by cluster in the order of the rollout. */
export function nodePlans(digest: Digest): NodePlan[] {
  return splitByCluster(digest.steps).flatMap(({ name: cluster, resources }) => {
    const plans = clusterPlans({ ...digest, steps: resources });
    if (cluster === "") return plans;
    return plans.map((plan) => ({
      ...plan,
      cluster,
      name: `${cluster}/${plan.name}`,
      group: `${plan.group} of ${cluster}`,
    }));
  });
}

function clusterPlans(digest: Digest): NodePlan[] {
  const upgrades = digest.steps.filter(({ type }) => type === nodeUpgradeType);
  const plan = preflightResults(digest);
  const leaving = leavingMembers(digest);
  const plans = upgrades.map((step) => nodePlan(step, digest, plan, leaving));
  const places = plannedPlaces(digest);
  const order = places === undefined ? nodeOrder(digest) : [...places.keys()];
  const place = ({ name }: NodePlan) => (order.includes(name) ? order.indexOf(name) : order.length);
  const ordered = plans.toSorted((a, b) => place(a) - place(b));
  const first = ordered.filter(({ role }) => role === "controlplane");
  const workers = ordered.filter(({ role }) => role === "worker");
  const lanes = laneCount(workers.length, maxUnavailable(digest));
  const placed = workers.map((node, index) => ({
    ...node,
    ...(places === undefined ? { lane: index % lanes } : places.get(node.name)),
  }));
  return [...first, ...placed];
}

/** In previews that were saved with 0.1.0: the order of the settings; where they are secret, that of the preflight. */
function nodeOrder(digest: Digest): string[] {
  const preflight = digest.steps.find(({ type }) => type === preflightType);
  const nodes = (preflight?.new ?? preflight?.old)?.inputs["nodes"];
  const listed = Array.isArray(nodes) ? nodes : clusterNodes(digest);
  if (listed.length === 0) return nodesByName(nodes).map(([name]) => name);
  return listed.flatMap((node) => {
    const name = typeof node === "object" && node !== null ? (node as { name?: unknown }).name : undefined;
    return typeof name === "string" ? [name] : [];
  });
}

function clusterNodes(digest: Digest): unknown[] {
  const { nodes } = settingOf(digest, "cluster") as { nodes?: unknown };
  return Array.isArray(nodes) ? nodes : [];
}

/** How many workers may be down at once, as the stack's settings say. */
function maxUnavailable(digest: Digest): number | string {
  const { workers } = settingOf(digest, "upgrade") as { workers?: { maxUnavailable?: unknown } };
  const wanted = workers?.maxUnavailable;
  if (typeof wanted === "number" && wanted >= 1) return wanted;
  return typeof wanted === "string" && /^\d+%?$/.test(wanted) ? wanted : 1;
}

function settingOf(digest: Digest, key: string): object {
  try {
    const value: unknown = JSON.parse(digest.config[`${digest.project}:${key}`] ?? "{}");
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {}; // secret as a whole
  }
}

const membershipType = "talos-node:index:ClusterMembership";

/** Who is taken off the list of the cluster's nodes, and what becomes of the machine. */
function leavingMembers({ steps }: Digest): Departure[] {
  const step = steps.find(({ type, operation }) => type === membershipType && operation === "update");
  if (step?.old === undefined || step.new === undefined || typeof step.new.inputs["nodes"] !== "object")
    return [];
  const { nodes, onRemove } = step.new.inputs;
  return departures(knownMembers({ ...step.old.inputs, ...step.old.outputs }), {
    nodes: membersOf(nodes),
    onRemove: onRemove === "reset" ? "reset" : "keep",
  });
}

function nodePlan(
  step: Step,
  digest: Digest,
  plan: Map<string, PreflightResult>,
  leaving: readonly Departure[],
): NodePlan {
  const state = step.new ?? step.old;
  const inputs = state?.inputs ?? {};
  const isLeaving = step.operation === "delete";
  const outputs = step.operation === "create" ? {} : (step.old?.outputs ?? {});
  const name = textOrEmpty(inputs["name"]) || step.name;
  const configuration = configurationPlan(textOrEmpty(inputs["node"]), digest);
  const found = step.operation === "create" ? plan.get(name) : undefined;
  const fate = found?.fate === "new" ? newNodeFate(configuration) : found?.fate;
  const planned = plan.get(name);
  const known = imageOf(outputs["runningVersion"], outputs["runningSchematic"]);
  // The preview has asked the node; the state may be of before a hop that was taken since.
  const isLater = planned?.fate === "upgrade" && planned.runs?.version !== known?.version;
  const seen = isLater ? planned.runs : (known ?? found?.runs);
  const to = isLeaving ? undefined : imageOf(inputs["talosVersion"], inputs["schematicId"]);
  // The plan names only the beginning of a schematic.
  const from = to !== undefined && fate === "stays" ? to : seen;
  const last = parseTimeline(outputs["timeline"]);
  // A refresh takes the engine's own mark away; the timeline still has why.
  const errors = step.old?.initErrors ?? [];
  const failure =
    last !== undefined && last.result !== "upgraded" && last.reason !== undefined ? [last.reason] : [];
  const unfinished = errors.length > 0 ? errors : failure;
  const isReset = leaving.some(
    ({ member, way }) => way === "reset" && member.node === textOrEmpty(inputs["node"]),
  );
  const action = isReset ? "reset" : actionOf(step, from, to, fate);
  return {
    name,
    cluster: "",
    address: textOrEmpty(inputs["node"]),
    role: inputs["role"] === "controlplane" ? "controlplane" : "worker",
    action,
    reboot: rebootOf(action),
    hops: action === "upgrade" ? (planned?.hops ?? []) : [],
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    unfinished,
    changes: step.operation === "update" ? ownChanges(step.old?.inputs ?? {}, inputs) : [],
    ...(last === undefined ? {} : { last }),
    configuration,
    group: inputs["role"] === "controlplane" ? controlPlanes : "workers",
    lane: 0,
  };
}

type NewNodeFate = Exclude<PreflightResult["fate"], "new"> | "joins";

/** Of a node that is new in the stack only its configuration says whether it waits for that, did not answer, or runs what it is to run. */
function newNodeFate(configuration: ConfigurationPlan): NewNodeFate {
  const lines = "onNode" in configuration ? (configuration.onNode ?? []) : [];
  if (lines.some(isFirstConfiguration)) return "joins";
  return lines.some(isUnanswered) ? "unread" : "stays";
}

function actionOf(
  { operation }: Step,
  from: Image | undefined,
  to: Image | undefined,
  fate: NewNodeFate | undefined,
): NodePlan["action"] {
  if (operation === "delete") return "leave";
  if (operation === "same" || operation === "read") return "none";
  if (fate === "joins") return "join";
  if (fate === "upgrade") return "upgrade";
  if (from === undefined || to === undefined || (operation !== "update" && fate === undefined)) return "look";
  return from.version === to.version && from.schematicId === to.schematicId ? "verify" : "upgrade";
}

/** A configuration never reboots a node: what needs that is staged. */
function rebootOf(action: NodePlan["action"]): NodePlan["reboot"] {
  if (action === "upgrade" || action === "reset") return "yes";
  return action === "look" ? "maybe" : "no";
}

/** What says more than that the image changes. */
const shownElsewhere = [
  ...["talosVersion", "schematicId", "image", "clientConfiguration", "kubeconfig"],
  ...["approval", "rollout"],
];

function ownChanges(before: Properties, after: Properties): PropertyChange[] {
  return propertyChanges(before, after).filter(
    ({ path }) => !shownElsewhere.includes(path.split(/[.[]/)[0] ?? ""),
  );
}

function imageOf(version: unknown, schematic: unknown): Image | undefined {
  if (typeof version !== "string" || version === "" || version === unknownMark) return undefined;
  return { version, schematicId: typeof schematic === "string" ? schematic : "" };
}

function textOrEmpty(value: unknown): string {
  return typeof value === "string" ? value : "";
}
