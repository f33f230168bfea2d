import type { NodeUpgradeInputs } from "../talos/inputs/nodeUpgrade.ts";
import { approvalProperty } from "./approval.ts";
import { isTransient, TalosError } from "../talos/api/errors.ts";
import { outlookLine, type NodeOutlook, type OutlookImage } from "../talos/nodeOutlook.ts";
import { talosMinor } from "../talos/version.ts";
import type { UpgradeContext } from "./context.ts";
import { NodeRebooted, problemLines, UpgradeError } from "./errors.ts";
import { etcdJoinProblem } from "./guards/etcdJoin.ts";
import { describeEtcd, etcdVersionAfter } from "./guards/etcdVersion.ts";
import { joinProblems, type Finding } from "./guards/finding.ts";
import { runsWantedImage, readFacts, type NodeFacts } from "./facts.ts";
import { hopPreviewNotes } from "./hops/previewNotes.ts";
import { upgradePathProblem } from "./hops/obstacles.ts";
import {
  describeKubernetesHops,
  findKubernetesHops,
  kubernetesAtNextStep,
  kubernetesHopProblem,
  type KubernetesHopCall,
} from "./hops/kubernetes.ts";
import { isNextIn, releasesAhead, upgradeLegs, nextHopStage, type NodeWithHops } from "./hops/path.ts";
import { fetchKubeconfig } from "./fetchKubeconfig.ts";
import { untrustedServerCertificate } from "./maintenance.ts";
import { groupedAdvisories } from "./upgradeAdvisories.ts";
import { preflightNodes } from "./hops/hopInputs.ts";
import { silentProgress } from "./progress.ts";
import { hasUnknown, type Properties } from "./secrets.ts";
import { previewWaits } from "./rollout/previewWaits.ts";
import { Session, type Surroundings } from "./session.ts";
import { shareConnections } from "./sharedConnections.ts";
import { shareLists } from "./sharedLists.ts";
import { KubernetesError } from "./kubernetes.ts";
import { guard } from "./steps/guard.ts";
import { diagnoseRefusal, unreachableError } from "./steps/inspect.ts";
import { initiatorAfterUpgrade, initiatorChangeWarnings } from "./storage/initiators.ts";
import { volumesAtRisk } from "./storage/awaitDetached.ts";
import { collectStorageWarnings } from "./storage/previewWarnings.ts";
import { readNodes } from "./readNodes.ts";

/** What a rollout would do right now. */
export interface RolloutPreview {
  /** By node name: `v1.12.7 with no schematic -> v1.13.9 with schematic c9078f941996…, one reboot`. */
  nodes: Record<string, string>;
  /** What reviewers must know about the rollout. */
  warnings: string[];
  /** What would block the rollout right now. A deployment changes that: nodes join, and the preflight waits for them. */
  obstacles: string[];
  /** Everything else: how many releases the rollout goes through, and how long that may take. */
  notes: string[];
}

/**
 * Reads every node for a preview, once and without waiting: what it runs, and what blocks an upgrade now. Undefined while that can't be read, because
 * credentials or images are only known in the deployment.
 *
 * The update reads again, while new nodes are installing, and a saved plan (`pulumi up --plan`) rejects a line that differs from the preview's. So a node that
 * is not in `listed` always has the same line, whether it waits for its configuration, doesn't answer or runs the image.
 */
export async function previewRollout(
  surroundings: Surroundings,
  urn: string,
  inputs: Properties,
  listed: (node: NodeUpgradeInputs) => boolean,
  signal: AbortSignal,
): Promise<RolloutPreview | undefined> {
  // The approval is checked when something is done.
  const { kubeconfig, [approvalProperty]: _approval, ...needed } = inputs;
  if (hasUnknown(needed)) return undefined;
  const impatient = shareLists({
    ...surroundings,
    // With hops, each node is looked at three times. Nothing here drops a connection that others use.
    ...(inputs["hops"] === undefined ? {} : { talos: shareConnections(() => surroundings.talos()) }),
    timeouts: { ...surroundings.timeouts, guardMs: 0, recoveryMs: 0 },
  });
  const known = hasUnknown(kubeconfig)
    ? { ...needed, ...(await fetchMissingKubeconfig(impatient, urn, preflightNodes(needed)[0], signal)) }
    : inputs;
  const looks = await readNodes(preflightNodes(known), (node) =>
    previewNode(impatient, urn, node, listed(node), signal),
  );
  const due = looks.flatMap(({ wanted, facts }) =>
    facts === undefined || runsWantedImage(facts, wanted) ? [] : [{ context: { wanted }, facts }],
  );
  const found = new Map(
    looks.flatMap(({ wanted, facts }) => (facts === undefined ? [] : [[wanted.name, facts] as const])),
  );
  const all = looks.map(({ wanted }) => wanted);
  const stage = nextHopStage(all, found);
  // For a node that waits for others' hops, blockers of its step are unknown until those are done.
  const isNext = ({ wanted, facts }: NodePreview): boolean => facts === undefined || isNextIn(stage, wanted);
  const deadEnds = await readNodes(looks, (look) => findDeadEnd(impatient, urn, look, isNext(look), signal));
  const obstacles = looks.flatMap((look, index) => [
    ...(deadEnds[index] ?? []),
    ...(look.obstacle === undefined || !isNext(look) ? [] : [look.obstacle]),
  ]);
  const kubernetes = await previewKubernetesHops({ surroundings: impatient, urn, nodes: all, signal }, due);
  return {
    nodes: {
      ...Object.fromEntries(looks.map(({ wanted, outlook: seen }) => [wanted.name, outlookLine(seen)])),
      ...kubernetes.lines,
    },
    warnings: [
      ...missingSnapshotWarnings(due),
      ...looks.flatMap(({ volumes }) => (volumes === undefined ? [] : [volumes])),
      ...(await storageWarnings(impatient, due)),
      ...initiatorChangeWarnings(looks),
      ...groupedAdvisories(due, surroundings.advised),
    ],
    obstacles: [
      ...new Set(looks.flatMap(({ waits = [] }) => waits)),
      ...problemLines(obstacles).map((line) => `the rollout would be refused right now: ${line}`),
      ...kubernetes.obstacles,
      ...[...new Set(looks.flatMap(({ strays = [] }) => strays))].map(
        (stray) =>
          `${stray}: the rollout does not start unless this deployment removes it from the cluster first`,
      ),
    ],
    notes: hopPreviewNotes(
      all,
      due.map(({ context: { wanted }, facts }) => ({ wanted, facts })),
    ),
  };
}

/** No node name contains a space. */
export const kubernetesHopKey = "Kubernetes on the way";

/** Kubernetes upgrades before the last step, and what blocks them; none if unknown right now, which the guards report. */
async function previewKubernetesHops(
  call: KubernetesHopCall,
  due: readonly { context: { wanted: NodeWithHops }; facts: NodeFacts }[],
): Promise<{ lines: Record<string, string>; obstacles: string[] }> {
  const ways = due.map(({ context, facts }) => releasesAhead(facts, context.wanted));
  try {
    const hops = await findKubernetesHops(call, ways);
    if (hops === undefined) return { lines: {}, obstacles: [] };
    const problem = await kubernetesHopProblem(call, hops);
    return {
      lines: { [kubernetesHopKey]: describeKubernetesHops(hops) },
      obstacles: problem === undefined ? [] : [`the rollout would be refused right now: ${problem.message}`],
    };
  } catch (error) {
    if (error instanceof KubernetesError || (error instanceof TalosError && error.kind !== "cancelled"))
      return { lines: {}, obstacles: [] };
    throw error;
  }
}

/** A cluster being adopted already has its kubeconfig; the stack gets one in the deployment. Undefined if no control plane returns one. */
async function fetchMissingKubeconfig(
  surroundings: Surroundings,
  urn: string,
  any: NodeUpgradeInputs | undefined,
  signal: AbortSignal,
): Promise<{ kubeconfig?: string }> {
  if (any === undefined) return {};
  const session = await Session.open(surroundings, urn, any, signal);
  try {
    const call = { deadlineMs: surroundings.timeouts.probeMs * 2, signal };
    return { kubeconfig: await fetchKubeconfig(session.context.peer, any.controlPlanes, call) };
  } catch (error) {
    if (error instanceof KubernetesError || (error instanceof TalosError && error.kind !== "cancelled"))
      return {};
    throw error;
  } finally {
    session.close();
  }
}

/** Attempts per node: a busy node must not make the line differ from the update's. */
const readAttempts = 3;

async function retryRead<T>({ clock, timeouts, signal }: UpgradeContext, ask: () => Promise<T>): Promise<T> {
  for (let time = 1; ; time++) {
    try {
      return await ask();
    } catch (error) {
      const mayPass = isTransient(error) || (error instanceof TalosError && error.kind === "failed");
      if (!mayPass || time === readAttempts) throw error;
      await clock.sleep(timeouts.pollMs, signal);
    }
  }
}

/** What reviewers must know about the cluster's storage; nothing if no node is due. */
async function storageWarnings(
  surroundings: Surroundings,
  due: readonly { context: { wanted: NodeUpgradeInputs } }[],
): Promise<string[]> {
  const wanted = due.map(({ context }) => context.wanted);
  const kubeconfig = wanted[0]?.kubeconfig;
  if (kubeconfig === undefined) return [];
  const drained = wanted.find(({ drain }) => drain.enabled);
  const gates = wanted.some(({ storageGate }) => storageGate.enabled !== false);
  try {
    return await collectStorageWarnings(await surroundings.connectKubernetes(kubeconfig), {
      drains: drained?.drain.whenBlocked,
      gates,
    });
  } catch (error) {
    // Each node's guard reports an unusable kubeconfig.
    if (!(error instanceof KubernetesError)) throw error;
    return [];
  }
}

/** `etcd 3.6.12, storage 3.6.0 -> 3.7.1`; nothing if unknown right now: the guard reports why. */
async function describeEtcdStep(context: UpgradeContext, facts: NodeFacts): Promise<string | undefined> {
  const { wanted, talos, timeouts, signal } = context;
  if (wanted.role !== "controlplane") return undefined;
  try {
    const status = await retryRead(context, () =>
      talos.etcdStatus({ deadlineMs: timeouts.probeMs * 2, signal }),
    );
    const before = etcdVersionAfter({ talosVersion: facts.version });
    const after = etcdVersionAfter(wanted);
    // A custom etcd stays what it is.
    const changes = after !== undefined && before === status.version && after !== status.version;
    return `${describeEtcd(status)}${changes ? ` -> ${after}` : ""}`;
  } catch (error) {
    if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    return undefined;
  }
}

/** A minor upgrade of a control plane without a snapshot is worth a warning. */
function missingSnapshotWarnings(
  due: readonly { context: { wanted: NodeUpgradeInputs }; facts: NodeFacts }[],
): string[] {
  const bare = due.filter(
    ({ context: { wanted }, facts }) =>
      wanted.role === "controlplane" &&
      wanted.etcdSnapshot === undefined &&
      talosMinor(facts.version) !== talosMinor(wanted.talosVersion),
  );
  if (bare.length === 0) return [];
  const names = bare.map(({ context: { wanted } }) => wanted.name).join(", ");
  return [
    `${names}: no snapshot of etcd is taken before this step to another minor release. To take one, set upgrade.etcdSnapshot.`,
  ];
}

interface NodePreview {
  wanted: NodeWithHops;
  outlook: NodeOutlook;
  facts?: NodeFacts;
  /** What blocks its next step. */
  obstacle?: UpgradeError;
  /** What it, and others, would have to wait for. */
  waits?: string[];
  /** etcd members that must be gone by then. */
  strays?: string[];
  /** What reviewers must know about its volumes. */
  volumes?: string;
  /** Its future initiator name. */
  initiator?: string;
}

async function previewNode(
  surroundings: Surroundings,
  urn: string,
  wanted: NodeWithHops,
  isListed: boolean,
  signal: AbortSignal,
): Promise<NodePreview> {
  const session = await Session.open(surroundings, urn, wanted, signal);
  const { context } = session;
  // Nobody waits for a preview's guards: their status lines are not shown.
  const quiet = { ...context, progress: silentProgress };
  const to = imageOf(wanted);
  const asNew: NodeOutlook = { fate: "new", to };
  try {
    const facts = await retryRead(context, () =>
      readFacts(context.talos, wanted, { deadlineMs: context.timeouts.probeMs * 2, signal }),
    );
    const runs: OutlookImage = { version: facts.version, schematicId: facts.schematicId };
    if (runsWantedImage(facts, wanted))
      return {
        wanted,
        facts,
        outlook: isListed ? { fate: "stays", runs: { ...runs, name: wanted.imageName } } : asNew,
      };
    const legs = upgradeLegs(facts, wanted);
    const hops = legs.slice(0, -1).map((leg) => leg.wanted.talosVersion);
    const own: NodeOutlook = {
      fate: "upgrade",
      runs,
      hops,
      to,
      etcd: await describeEtcdStep(context, facts),
    };
    const strays: string[] = [];
    const onStray = (finding: Finding): void => void strays.push(joinProblems([finding]));
    const [obstacle, volumes, initiator] = await Promise.all([
      guardNextStep(surroundings, urn, legs[0]?.wanted ?? wanted, quiet, facts, onStray),
      wanted.drain.enabled ? undefined : volumesAtRisk(context.storage),
      initiatorAfterUpgrade(context.talos, facts, wanted, {
        deadlineMs: context.timeouts.probeMs * 2,
        signal,
      }),
    ]);
    return {
      ...{ wanted, facts, outlook: own, strays, waits: await previewWaits(quiet) },
      ...(obstacle === undefined ? {} : { obstacle }),
      ...(initiator === undefined ? {} : { initiator }),
      ...(volumes === undefined ? {} : { volumes: `${wanted.name}: is not drained and ${volumes}` }),
    };
  } catch (error) {
    if (!(error instanceof TalosError)) throw error;
    // A new node: it gets its configuration, and with it the image, before the rollout starts.
    if ((await untrustedServerCertificate(error, context.talos)) !== undefined) {
      const obstacle = await etcdJoinProblem(surroundings, session);
      return { wanted, outlook: asNew, ...(obstacle === undefined ? {} : { obstacle }) };
    }
    return {
      wanted,
      outlook: !isListed && isTransient(error) ? asNew : { fate: "unread", to },
      obstacle: unreachableError(await diagnoseRefusal(error, context), context),
    };
  } finally {
    session.close();
  }
}

/** Why a node can't reach its release. Which of its steps the guard has checked is known once all nodes are read. */
async function findDeadEnd(
  surroundings: Surroundings,
  urn: string,
  { wanted, facts }: NodePreview,
  isNext: boolean,
  signal: AbortSignal,
): Promise<UpgradeError[]> {
  if (facts === undefined || wanted.hops === undefined || runsWantedImage(facts, wanted)) return [];
  const session = await Session.open(surroundings, urn, wanted, signal);
  try {
    const problem = await upgradePathProblem(session.context, facts, wanted, { isNext });
    return problem === undefined ? [] : [problem];
  } finally {
    session.close();
  }
}

/** What blocks a node's next step: to its first hop, or else to the desired release. */
async function guardNextStep(
  surroundings: Surroundings,
  urn: string,
  next: NodeWithHops,
  context: UpgradeContext,
  facts: NodeFacts,
  onStray: (finding: Finding) => void,
): Promise<UpgradeError | undefined> {
  const session =
    next.talosVersion === context.wanted.talosVersion
      ? undefined
      : await Session.open(surroundings, urn, next, context.signal);
  const own = session === undefined ? context : { ...session.context, progress: silentProgress };
  try {
    const kubernetes = (runs?: string): string | undefined => kubernetesAtNextStep(next, facts.version, runs);
    await guard(own, facts, { survey: true, onStray, kubernetes });
    return undefined;
  } catch (error) {
    return toUpgradeProblem(context, error);
  } finally {
    session?.close();
  }
}

function imageOf({ talosVersion, schematicId, imageName }: NodeUpgradeInputs): OutlookImage {
  return { version: talosVersion, schematicId, name: imageName };
}

/** What blocks an upgrade. A node in transition doesn't: it is waited for. */
function toUpgradeProblem(context: UpgradeContext, error: unknown): UpgradeError | undefined {
  if (error instanceof NodeRebooted) return undefined;
  if (error instanceof UpgradeError) return error;
  if (error instanceof TalosError) return unreachableError(error, context);
  throw error;
}
