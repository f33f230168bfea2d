import { kubernetesMinor, kubernetesStops, oldestKubernetesFor } from "../../talos/kubernetesPath.ts";
import type { KubernetesUpgradeInputs } from "../kubernetesUpgrade/inputs.ts";
import { lookAtCluster, releasesIn, type ClusterLook } from "../kubernetesUpgrade/look.ts";
import { tryImagesOnTheWay } from "../kubernetesUpgrade/prePull.ts";
import { compareReleases } from "../kubernetesUpgrade/releases.ts";
import { findObstacles, upgradeThroughMinors } from "../kubernetesUpgrade/upgrade.ts";
import { refusedError, Work } from "../kubernetesUpgrade/work.ts";
import type { ErrorCode } from "../../talos/errorCodes.ts";
import type { Surroundings } from "../session.ts";
import { runsWantedImage, type NodeFacts } from "../facts.ts";
import { releasesAhead, type NodeWithHops } from "./path.ts";

/** What hops need of the cluster's Kubernetes. */
export interface KubernetesHopCall {
  surroundings: Surroundings;
  urn: string;
  nodes: readonly NodeWithHops[];
  signal: AbortSignal;
}

/**
 * Before nodes move to these Talos releases: upgrades Kubernetes to the oldest minor release they run, one minor at a time, each with all steps and checks of
 * an upgrade. Does nothing if that release already runs; the running version shows how far an interrupted run got.
 * @returns the release reached, and why the rest waits for a later deployment
 */
export async function upgradeKubernetesForHops(
  call: KubernetesHopCall,
  talos: readonly string[],
): Promise<{ raised?: string; postponed?: string }> {
  const inputs = upgradeInputs(call.nodes);
  const needed = Math.max(...talos.map((release) => oldestKubernetesFor(release) ?? 0));
  if (inputs === undefined || needed <= 0) return {};
  const [runs] = releasesIn(await readCluster(call, inputs));
  const to = inputs.through.find((release) => kubernetesMinor(release) === needed);
  if (runs === undefined || to === undefined || (kubernetesMinor(runs) ?? Infinity) >= needed) return {};
  const { surroundings, urn, signal } = call;
  surroundings
    .statusOf(urn)
    .info(`Kubernetes ${runs} -> ${to}: Talos ${[...new Set(talos)].join(", ")} needs it`);
  const outcome = await upgradeThroughMinors({ ...inputs, kubernetesVersion: to }, (release) =>
    Work.open(surroundings, urn, { ...inputs, kubernetesVersion: release }, signal),
  );
  if (!outcome.ok) throw outcome.error;
  return outcome.postponed === undefined ? { raised: to } : { postponed: outcome.postponed };
}

/** Kubernetes upgrades before the last step. */
export interface KubernetesHops {
  /** The oldest running release. */
  readonly runs: string;
  /** The releases it goes through, with the Talos release that each precedes. */
  readonly stops: ReadonlyMap<string, string>;
  readonly inputs: KubernetesUpgradeInputs;
  readonly look: ClusterLook;
}

/** Undefined if no intermediate upgrade is needed. @param ways the Talos releases of each node, starting with what it runs */
export async function findKubernetesHops(
  call: KubernetesHopCall,
  ways: readonly (readonly [string, ...string[]])[],
): Promise<KubernetesHops | undefined> {
  const inputs = upgradeInputs(call.nodes);
  if (inputs === undefined || ways.length === 0) return undefined;
  const look = await readCluster(call, inputs);
  const [runs] = releasesIn(look);
  if (runs === undefined) return undefined;
  const stops = new Map<string, string>();
  for (const way of ways) {
    const found = kubernetesStops(runs, way, inputs.through);
    // The nodes report why there is none.
    if ("problem" in found) return undefined;
    for (const { kubernetes, before } of found) if (!stops.has(kubernetes)) stops.set(kubernetes, before);
  }
  return stops.size === 0 ? undefined : { runs, stops, inputs, look };
}

/** `v1.29.6 -> v1.30.14 before Talos v1.12.11`, for the preview. */
export function describeKubernetesHops({ runs, stops }: KubernetesHops): string {
  const steps = [...stops].map(([kubernetes, before]) => ` -> ${kubernetes} before Talos ${before}`);
  return `${runs}${steps.join("")}, a complete upgrade each`;
}

/** Whether Talos and Kubernetes fit at each step is known from the ways themselves. */
const judgedByWays: readonly ErrorCode[] = ["kubernetes-release", "kubernetes-step"];

/** What blocks these upgrades for good, such as removed APIs: then no node takes its first hop. */
export async function kubernetesHopProblem(
  { surroundings, urn, signal }: KubernetesHopCall,
  { stops, inputs, look }: KubernetesHops,
): Promise<Error | undefined> {
  const kubernetesVersion = [...stops.keys()].sort(compareReleases).at(-1) ?? inputs.kubernetesVersion;
  const work = await Work.open(surroundings, urn, { ...inputs, kubernetesVersion }, signal);
  try {
    const findings = await findObstacles(work, look, true);
    const lasting = findings.filter(({ code, mayPass }) => !mayPass && !judgedByWays.includes(code));
    return lasting.length === 0 ? undefined : refusedError(work, lasting);
  } finally {
    work.close();
  }
}

/** Pulls the images of these upgrades once, or refuses all: a missing one must not be found between hops. */
export async function tryKubernetesHopImages(
  call: KubernetesHopCall,
  found: ReadonlyMap<string, NodeFacts>,
): Promise<void> {
  const ways = call.nodes.flatMap((node) => {
    const facts = found.get(node.name);
    return facts === undefined || runsWantedImage(facts, node) ? [] : [releasesAhead(facts, node)];
  });
  const hops = await findKubernetesHops(call, ways);
  if (hops === undefined) return;
  const { surroundings, urn, signal } = call;
  const work = await Work.open(surroundings, urn, hops.inputs, signal);
  try {
    await tryImagesOnTheWay(work, hops.look.nodes, [...hops.stops.keys()]);
  } finally {
    work.close();
  }
}

/** The Kubernetes that a node's next Talos release finds, after the upgrade made for it. */
export function kubernetesAtNextStep(
  { kubernetes, talosVersion }: Pick<NodeWithHops, "kubernetes" | "talosVersion">,
  from: string,
  runs: string | undefined,
): string | undefined {
  if (kubernetes === undefined || runs === undefined) return runs;
  const stops = kubernetesStops(runs, [from, talosVersion], kubernetes.releases);
  return "problem" in stops ? runs : (stops.at(-1)?.kubernetes ?? runs);
}

async function readCluster(
  { surroundings, urn, signal }: KubernetesHopCall,
  inputs: KubernetesUpgradeInputs,
): Promise<ClusterLook> {
  const work = await Work.open(surroundings, urn, inputs, signal);
  try {
    return await lookAtCluster(work.nodes);
  } finally {
    work.close();
  }
}

/** Inputs as of a KubernetesUpgrade. Undefined if Kubernetes is not upgraded between hops. */
function upgradeInputs(nodes: readonly NodeWithHops[]): KubernetesUpgradeInputs | undefined {
  const [any] = nodes;
  const { kubernetes, kubeconfig } = any ?? {};
  if (any === undefined || kubernetes === undefined || kubeconfig === undefined) return undefined;
  const { releases, pinned = {}, acceptRemovedApis = false } = kubernetes;
  const { clientConfiguration, endpoints, drain, storageGate, timeoutSeconds, prePull, rollout, approval } =
    any;
  return {
    kubernetesVersion: releases.at(-1) ?? "",
    through: releases,
    nodes: nodes.map(({ name, node, role }) => ({ name, node, role, pinned: pinned[name] ?? [] })),
    ...{ clientConfiguration, kubeconfig, drain, storageGate, timeoutSeconds, prePull, rollout },
    // The stack's own KubernetesUpgrade checks the declared objects, in the preview.
    ...{ acceptRemovedApis, removedObjects: [] },
    ...(endpoints === undefined ? {} : { endpoints }),
    ...(approval === undefined ? {} : { approval }),
  };
}
