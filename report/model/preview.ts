import type { Digest, Message } from "../digest/digest.ts";
import { plansToApprove, type PlanToApprove } from "./approvedPlan.ts";
import type { ConfigurationPlan } from "./configuration.ts";
import { kubernetesChanges } from "./kubernetes.ts";
import { splitByCluster } from "./clusters.ts";
import { nodePlans, type NodePlan } from "./nodes.ts";
import { countsOf, resourceChanges, type Counts, type ResourceChange } from "./resources.ts";
import { driverPlans, machineLosses, storageLosses, type DriverPlan, type StorageLoss } from "./storage.ts";
import { verdictOf, type Verdict } from "./verdict.ts";

/** Everything that a report on a preview says, in no form yet. */
export interface PreviewReport {
  project: string;
  stack: string;
  /** When it was made, milliseconds since 1970. */
  made: number;
  /** Compared with the live cluster, not with the state alone. */
  refreshed: boolean;
  verdict: Verdict;
  counts: Counts;
  /** All nodes, in the order of the rollout. */
  nodes: NodePlan[];
  /** How long the rollout took when it was last done, in seconds; undefined where no node that is due has been upgraded before. */
  lastTook?: Estimate;
  /** Changed machine configurations, nodes with the same change together. */
  configurations: ConfigurationGroup[];
  losses: StorageLoss[];
  drivers: DriverPlan[];
  resources: ResourceChange[];
  errors: MessageGroup[];
  warnings: MessageGroup[];
  /** What is done to the nodes of each cluster, and the digest by which it is approved. None where it was not looked for, or is not known yet. */
  approvals: PlanToApprove[];
}

export interface Estimate {
  seconds: number;
  /** Of how many nodes the time is known, and how many are due. */
  known: number;
  due: number;
}

export interface ConfigurationGroup {
  nodes: NodePlan[];
  configuration: Exclude<ConfigurationPlan, { kind: "same" } | { kind: "gone" }>;
}

/** One text, and everything that it was said of. */
export interface MessageGroup {
  text: string;
  resources: string[];
}

export function previewReport(digest: Digest, made: number): PreviewReport {
  const nodes = nodePlans(digest);
  const losses = [...machineLosses(nodes), ...storageLosses(digest)];
  const drivers = driverPlans(digest);
  const counts = countsOf(digest);
  const errors = groupMessages(digest.messages, "error");
  const lastTook = estimate(nodes);
  return {
    project: digest.project,
    stack: digest.stack,
    made,
    refreshed: digest.refreshed,
    verdict: verdictOf({
      nodes,
      drivers,
      losses,
      counts,
      errors: errors.length,
      failed: digest.failed,
      isNewCluster: areNewClusters(digest, nodes),
      kubernetes: kubernetesChanges(digest),
    }),
    counts,
    nodes,
    ...(lastTook === undefined ? {} : { lastTook }),
    approvals: plansToApprove(digest),
    configurations: configurationGroups(nodes),
    losses,
    drivers,
    resources: resourceChanges(digest, {
      components: nodes.some((node) => node.configuration.kind === "unknown"),
    }),
    errors,
    warnings: groupMessages(digest.messages, "warning"),
  };
}

/** Does anything change at all? */
export function hasChanges({ verdict, counts }: PreviewReport): boolean {
  const { create, update, replace, delete: deleted } = counts;
  return verdict.level !== "nothing" && create + update + replace + deleted > 0;
}

/** Are all nodes that come into the stack those of new clusters? */
function areNewClusters({ steps }: Digest, nodes: readonly NodePlan[]): boolean {
  const known = splitByCluster(steps).filter(
    ({ resources }) =>
      !resources.some(
        ({ type, operation }) => type === "talos:machine/bootstrap:Bootstrap" && operation === "create",
      ),
  );
  const coming = nodes.filter(({ action }) => action === "look" || action === "join");
  return !coming.some(({ cluster }) => known.some(({ name }) => name === cluster));
}

/** Clusters go at the same time. */
function estimate(nodes: NodePlan[]): Estimate | undefined {
  const each = [...Map.groupBy(nodes, ({ cluster }) => cluster).values()]
    .map(clusterEstimate)
    .filter((found) => found !== undefined);
  if (each.length === 0) return undefined;
  return {
    seconds: Math.max(...each.map(({ seconds }) => seconds)),
    known: each.reduce((sum, { known }) => sum + known, 0),
    due: nodes.filter(isDue).length,
  };
}

const isDue = ({ action }: NodePlan) => action === "upgrade" || action === "look";

/** Group after group, in each the longest lane: control planes have one. */
function clusterEstimate(nodes: NodePlan[]): Estimate | undefined {
  const due = nodes.filter(isDue);
  const timed = due.filter(({ last }) => last?.result === "upgraded");
  if (timed.length === 0) return undefined;
  const mean = (role: NodePlan["role"]) => {
    const own = timed.filter((node) => node.role === role);
    const of = own.length > 0 ? own : timed;
    return of.reduce((sum, { last }) => sum + (last?.seconds ?? 0), 0) / of.length;
  };
  const groups = new Map<string, number[]>();
  for (const node of due) {
    const lanes = groups.get(node.group) ?? [];
    const took = node.last?.result === "upgraded" ? node.last.seconds : mean(node.role);
    // Each hop is a rollout of its own, in the same order.
    lanes[node.lane] = (lanes[node.lane] ?? 0) + took * (node.hops.length + 1);
    groups.set(node.group, lanes);
  }
  const seconds = [...groups.values()].reduce(
    (sum, lanes) => sum + Math.max(...lanes.filter((took) => took !== undefined)),
    0,
  );
  return { seconds, known: timed.length, due: due.length };
}

/** The same change on several nodes is read once. */
function configurationGroups(nodes: NodePlan[]): ConfigurationGroup[] {
  const groups = new Map<string, ConfigurationGroup>();
  for (const node of nodes) {
    const { configuration } = node;
    if (configuration.kind === "same" || configuration.kind === "gone") continue;
    const key = JSON.stringify(comparisonKey(configuration));
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { nodes: [node], configuration });
    else group.nodes.push(node);
  }
  return [...groups.values()];
}

// What is read of it: line numbers differ between a control plane and a worker, and of a first one what it changes counts.
function comparisonKey(configuration: ConfigurationGroup["configuration"]): unknown {
  if (configuration.kind === "changed") {
    const { diff, ...rest } = configuration;
    return { ...rest, lines: diff.hunks.map(({ lines }) => lines) };
  }
  if (configuration.kind !== "first" || configuration.onNode === undefined) return configuration;
  const { text: _text, ...rest } = configuration;
  return rest;
}

// How the engine says that it found a plugin outside its own home. Of no use to anybody who approves a change.
const ignoredMessages = /^using pulumi-\S+ from \$PATH at /;

function groupMessages(messages: readonly Message[], severity: Message["severity"]): MessageGroup[] {
  const groups = new Map<string, MessageGroup>();
  for (const { severity: own, text, resource } of messages) {
    if (own !== severity || ignoredMessages.test(text)) continue;
    const group = groups.get(text) ?? { text, resources: [] };
    if (resource !== undefined && !group.resources.includes(resource)) group.resources.push(resource);
    groups.set(text, group);
  }
  // The preflight says of its nodes together what each of them says by itself.
  const isRepeated = (text: string) => groups.has(text.replace(/^[^:]*: /, "")) && /^[^:]*: /.test(text);
  return [...groups.values()].filter(({ text }) => !isRepeated(text));
}
