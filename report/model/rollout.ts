import { z } from "zod";
import { nameOf, redactMessage } from "../digest/values.ts";
import { splitByCluster, type ClusterResources } from "./clusters.ts";
import { kubernetesTimeline, kubernetesUpgradeType, type KubernetesTimeline } from "./kubernetes.ts";
import { nodeUpgradeType } from "./nodes.ts";
import { preflightType } from "./plan.ts";
import { parseTimeline, type Image, type Timeline } from "./timeline.ts";
import { formatCount, listNames } from "./verdict.ts";

/** The last upgrades of a stack's nodes, by what was one rollout. */
export interface RolloutReport {
  project: string;
  stack: string;
  /** When the report was made, milliseconds since 1970. */
  made: number;
  result: "done" | "failed" | "none";
  /** One sentence, or two. */
  verdict: string;
  /** The latest first. */
  rollouts: Rollout[];
  /** The last upgrade of Kubernetes; absent where the stack has made none. */
  kubernetes?: KubernetesTimeline;
  /** Nodes that were never upgraded by this stack: they came with the image that they were to run. */
  never: RolloutNode[];
}

export interface Rollout {
  started: number;
  ended: number;
  to: Image[];
  /** In the order in which they began. */
  nodes: UpgradedNode[];
}

export interface RolloutNode {
  name: string;
  address: string;
  role: "controlplane" | "worker";
  /** The release that it ran when it was last seen. */
  running: string;
  /** Why its last operation was not finished, whatever that was. */
  problems: string[];
}

export type UpgradedNode = RolloutNode & { timeline: Timeline };

const textSchema = z.string().catch("");
const stateSchema = z.object({
  deployment: z.object({
    resources: z
      .array(
        z.object({
          urn: z.string(),
          type: z.string(),
          parent: z.string().optional(),
          delete: z.boolean().nullish(),
          outputs: z.record(z.string(), z.unknown()).nullish(),
          initErrors: z.array(z.string()).nullish(),
        }),
      )
      .nullish(),
  }),
});

const nodeSchema = z.object({
  name: textSchema,
  node: textSchema,
  role: z.enum(["controlplane", "worker"]).catch("worker"),
  runningVersion: textSchema,
});

/** All nodes that the report knows, those of the latest rollout first. */
export function nodesOf({ rollouts, never }: RolloutReport): (RolloutNode & { timeline?: Timeline })[] {
  return [...rollouts.flatMap(({ nodes }) => nodes), ...never];
}

/** Why a node is not what it should be: what stopped its upgrade, and what stopped its last operation if that is something else. */
export function reasonsOf({ timeline, problems }: RolloutNode & { timeline?: Timeline }): string[] {
  const failure =
    timeline !== undefined && timeline.result !== "upgraded"
      ? [
          timeline.reason ??
            `It ${timeline.result === "cancelled" ? "was stopped" : "failed"} at ${timeline.failedStep ?? "a step"}.`,
        ]
      : [];
  return [...new Set([...failure, ...problems])];
}

/** What was given is not a stack's state. */
export class StateError extends Error {
  override readonly name = "StateError";
}

/**
 * @param state as `pulumi stack export` gives it.
 * @throws StateError that says what is wrong with it.
 */
export function rolloutReport(state: unknown, made: number): RolloutReport {
  const parsed = stateSchema.safeParse(state);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new StateError(
      `it is not what \`pulumi stack export\` prints (${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""})`,
    );
  }
  // What was replaced stays in the state until it is deleted.
  const resources = (parsed.data.deployment.resources ?? []).filter((one) => one.delete !== true);
  const clusters = splitByCluster(resources).map(clusterReport);
  const [, stack = "", project = ""] = /^urn:pulumi:(.*?)::(.*?)::/.exec(resources[0]?.urn ?? "") ?? [];
  const kubernetes = shownTimeline(clusters.flatMap((cluster) => cluster.kubernetes ?? []));
  return {
    project,
    stack,
    made,
    ...uniteVerdicts(clusters),
    rollouts: clusters.flatMap(({ rollouts }) => rollouts).toSorted((a, b) => b.started - a.started),
    ...(kubernetes === undefined ? {} : { kubernetes }),
    never: clusters.flatMap(({ never }) => never),
  };
}

type ClusterReport = Pick<RolloutReport, "result" | "verdict" | "rollouts" | "kubernetes" | "never"> & {
  name: string;
};

/** Clusters are upgraded independently of each other, and their nodes may have the same names. */
function clusterReport({ name: cluster, resources }: ClusterResources<StateResource>): ClusterReport {
  const own = resources.filter(({ type }) => type === nodeUpgradeType).map(nodeOf);
  const hops = resources.filter(({ type }) => type === preflightType);
  const named = <Node extends RolloutNode>(node: Node): Node =>
    cluster === "" ? node : { ...node, name: `${cluster}/${node.name}` };
  const rollouts = rolloutsOf(
    [
      ...hops.flatMap((one) => completedHops(one, own)),
      ...own.flatMap((node) => (node.timeline === undefined ? [] : [{ ...node, timeline: node.timeline }])),
    ].map(named),
  );
  const nodes = own.map(named);
  const kubernetes = kubernetesTimeline(
    resources.find(({ type }) => type === kubernetesUpgradeType)?.outputs,
  );
  return {
    name: cluster,
    ...addKubernetesVerdict(rolloutVerdict(rollouts[0], nodes), kubernetes),
    rollouts,
    ...(kubernetes === undefined ? {} : { kubernetes }),
    never: nodes
      .filter(({ timeline }) => timeline === undefined)
      .map(({ timeline: _timeline, ...node }) => node),
  };
}

/** The upgrade of Kubernetes to show: one that did not end well, otherwise the latest. */
function shownTimeline(timelines: readonly KubernetesTimeline[]): KubernetesTimeline | undefined {
  const latestFirst = timelines.toSorted((a, b) => b.started - a.started);
  return latestFirst.find(({ ended }) => ended !== "upgraded") ?? latestFirst[0];
}

function uniteVerdicts(clusters: readonly ClusterReport[]): Pick<RolloutReport, "result" | "verdict"> {
  const [only] = clusters;
  if (only !== undefined && clusters.length === 1) return { result: only.result, verdict: only.verdict };
  const result = (["failed", "done"] as const).find((one) =>
    clusters.some((cluster) => cluster.result === one),
  );
  const verdict = clusters.map((cluster) => `${cluster.name}: ${cluster.verdict}`).join(" ");
  return { result: result ?? "none", verdict };
}

type StateResource = NonNullable<z.infer<typeof stateSchema>["deployment"]["resources"]>[number];

function nodeOf({
  urn,
  outputs,
  initErrors,
}: StateResource): RolloutNode & { timeline: Timeline | undefined } {
  const { name, node, role, runningVersion } = nodeSchema.parse(outputs ?? {});
  return {
    name: name === "" ? nameOf(urn) : name,
    address: node,
    role,
    running: runningVersion,
    problems: (initErrors ?? []).map((reason) => redactMessage(reason)),
    timeline: parseTimeline(outputs?.["timeline"]),
  };
}

const hopSchema = z.array(z.object({ name: z.string(), timeline: z.unknown() })).catch([]);

/** Upgrades to releases on the way, which the preflight keeps: each hop is a rollout of its own. */
function completedHops({ outputs }: StateResource, nodes: readonly RolloutNode[]): UpgradedNode[] {
  return hopSchema.parse(outputs?.["hopsTaken"]).flatMap(({ name, timeline: told }) => {
    const node = nodes.find((one) => one.name === name);
    const timeline = parseTimeline(told);
    return node === undefined || timeline === undefined ? [] : [{ ...node, problems: [], timeline }];
  });
}

// A node begins as soon as the one before it has ended, so a wait is the end of a rollout: a short one if the next node goes elsewhere.
const longestWaitMs = { sameImage: 15 * 60_000, otherImage: 20_000 };

function rolloutsOf(nodes: UpgradedNode[]): Rollout[] {
  const rollouts: Rollout[] = [];
  for (const node of nodes.toSorted((a, b) => a.timeline.started - b.timeline.started)) {
    const { started, ended, from, to } = node.timeline;
    const last = rollouts.at(-1);
    const isSame = last?.to.some((other) => sameImage(other, to)) === true;
    const wait = isSame ? longestWaitMs.sameImage : longestWaitMs.otherImage;
    // A node is upgraded once in a rollout: a hop begins as soon as the one before it is over.
    const isAgain = last?.nodes.some(({ name }) => name === node.name) === true;
    // It leaves what the others have come to: that was the rollout before.
    const isNext = !isSame && last?.to.some((other) => sameImage(other, from)) === true;
    if (last === undefined || isAgain || isNext || started - last.ended > wait) {
      rollouts.push({ started, ended, to: [to], nodes: [node] });
      continue;
    }
    last.nodes.push(node);
    last.ended = Math.max(last.ended, ended);
    if (!isSame) last.to.push(to);
  }
  return rollouts.toReversed();
}

function sameImage(
  a: Pick<Image, "version" | "schematicId">,
  b: Pick<Image, "version" | "schematicId">,
): boolean {
  return a.version === b.version && a.schematicId === b.schematicId;
}

function addKubernetesVerdict(
  told: Pick<RolloutReport, "result" | "verdict">,
  kubernetes: KubernetesTimeline | undefined,
): Pick<RolloutReport, "result" | "verdict"> {
  if (kubernetes === undefined || kubernetes.ended === "upgraded") return told;
  const { to, ended } = kubernetes;
  const what = ended === "postponed" ? "waits for a later `pulumi up`" : "did not finish";
  return {
    result: ended === "postponed" ? told.result : "failed",
    verdict: `${told.verdict} The upgrade of Kubernetes to ${to} ${what}.`,
  };
}

function rolloutVerdict(
  latest: Rollout | undefined,
  nodes: readonly RolloutNode[],
): Pick<RolloutReport, "result" | "verdict"> {
  const troubled = nodes.filter(({ problems }) => problems.length > 0);
  if (latest === undefined) {
    const verdict =
      nodes.length === 0 ? "This stack has no nodes yet." : "This stack has never upgraded any of its nodes.";
    return troubled.length === 0
      ? { result: "none", verdict }
      : { result: "failed", verdict: `${listNames(troubled)} could not be finished.` };
  }
  const failed = latest.nodes.filter(({ timeline }) => timeline.result !== "upgraded");
  const done = latest.nodes.filter(({ timeline }) => timeline.result === "upgraded");
  const to = latest.to.map(({ version }) => version).join(" and ");
  const waiting = nodes.filter(
    (node) =>
      !latest.nodes.some(({ name }) => name === node.name) &&
      !latest.to.some(({ version }) => version === node.running),
  );
  if (failed.length > 0) {
    const where = failed
      .map(
        ({ name, timeline }) =>
          `${name} ${timeline.result === "cancelled" ? "was stopped" : "failed"} at step ${timeline.failedStep ?? "unknown"}`,
      )
      .join(", ");
    const rest =
      waiting.length === 0
        ? ""
        : `; ${listNames(waiting)} ${waiting.length === 1 ? "was" : "were"} not started`;
    return {
      result: "failed",
      verdict: `${where}: ${done.length} of ${formatCount(nodes.length, "node")} reached ${to}${rest}.`,
    };
  }
  const others = troubled.filter(({ name }) => !failed.some((node) => node.name === name));
  if (others.length > 0)
    return {
      result: "failed",
      verdict: `${formatCount(done.length, "node")} reached ${to}; ${listNames(others)} could not be verified afterwards.`,
    };
  return {
    result: "done",
    verdict: `${formatCount(done.length, "node")} reached ${to}, none failed.`,
  };
}
