import { approvalProperty } from "./approval.ts";
import { isTransient, TalosError } from "../talos/api/errors.ts";
import { outlookLine, type NodeOutlook, type OutlookImage } from "../talos/nodeOutlook.ts";
import type { UpgradeContext } from "./context.ts";
import { NodeMoved, problemLines, UpgradeError } from "./errors.ts";
import { describeEtcd, etcdAfter } from "./guards/etcdVersion.ts";
import { problemsOf, type Finding } from "./guards/finding.ts";
import { isSettled, readFacts, type NodeFacts } from "./facts.ts";
import { hopNotes } from "./hops/outlook.ts";
import { wayProblem } from "./hops/obstacles.ts";
import { foreseenKubernetes, kubernetesBefore } from "./hops/kubernetes.ts";
import { legsOf, nextStage, type HoppingNode } from "./hops/way.ts";
import { givenKubeconfig } from "./givenKubeconfig.ts";
import type { NodeUpgradeInputs } from "./inputs.ts";
import { strangersCertificate } from "./maintenance.ts";
import { adviceFor } from "./advice.ts";
import { preflightNodes } from "./preflight.ts";
import { silentProgress } from "./progress.ts";
import { hasUnknown, type Properties } from "./secrets.ts";
import { outlook } from "./rollout/outlook.ts";
import { Session, type Surroundings } from "./session.ts";
import { KubernetesError } from "./kubernetes.ts";
import { guard } from "./steps/guard.ts";
import { closerLook, noContact } from "./steps/inspect.ts";
import { futureInitiator, initiatorChanges } from "./storage/initiators.ts";
import { volumesAtRisk } from "./storage/leave.ts";
import { surveyStorage } from "./storage/survey.ts";

/** What a rollout would do, as it stands now. */
export interface RolloutPlan {
  /** By the node's name: `v1.12.7 with no schematic -> v1.13.9 with schematic c9078f941996…, one reboot`. */
  nodes: Record<string, string>;
  /** What a reviewer has to know of the way. */
  warnings: string[];
  /** What would stop the rollout as things are now. A deployment changes that: nodes join, and the preflight waits for them. */
  obstacles: string[];
  /** What is neither: how many releases the rollout goes through, and how long that may take. */
  notes: string[];
}

/**
 * Looks at every node for a preview, once and without waiting for anything: what runs there, and what stands against an upgrade now.
 * Undefined while that cannot be asked, since credentials or images are not known before the deployment.
 *
 * The update looks again, while new nodes are installed, and a saved plan (`pulumi up --plan`) refuses another line than the preview's. So a node
 * that `listed` does not know has one line, whether it waits for its configuration, does not answer or runs the image: its configuration tells.
 */
export async function planRollout(
  surroundings: Surroundings,
  urn: string,
  inputs: Properties,
  listed: (node: NodeUpgradeInputs) => boolean,
  signal: AbortSignal,
): Promise<RolloutPlan | undefined> {
  // What is approved counts when something is done.
  const { kubeconfig, [approvalProperty]: _approval, ...needed } = inputs;
  if (hasUnknown(needed)) return undefined;
  const impatient = { ...surroundings, patience: { ...surroundings.patience, guardMs: 0, recoveryMs: 0 } };
  const known = hasUnknown(kubeconfig)
    ? { ...needed, ...(await otherKubeconfig(impatient, urn, preflightNodes(needed)[0], signal)) }
    : inputs;
  const looks = await Promise.all(
    preflightNodes(known).map((node) => lookAt(impatient, urn, node, listed(node), signal)),
  );
  const due = looks.flatMap(({ wanted, facts }) =>
    facts === undefined || isSettled(facts, wanted) ? [] : [{ context: { wanted }, facts }],
  );
  const found = new Map(
    looks.flatMap(({ wanted, facts }) => (facts === undefined ? [] : [[wanted.name, facts] as const])),
  );
  const all = looks.map(({ wanted }) => wanted);
  const stage = nextStage(all, found);
  // What stands against the step of a node that waits for others' hops is not known before those are over.
  const isNext = ({ wanted, facts }: Look): boolean =>
    stage === undefined || facts === undefined || stage.nodes.some(({ name }) => name === wanted.name);
  const obstacles = looks.flatMap((look) => [
    ...(look.deadEnd === undefined ? [] : [look.deadEnd]),
    ...(look.obstacle === undefined || !isNext(look) ? [] : [look.obstacle]),
  ]);
  const kubernetes = await kubernetesOnWay({ surroundings: impatient, urn, nodes: all, signal }, due);
  return {
    nodes: {
      ...Object.fromEntries(looks.map(({ wanted, outlook: seen }) => [wanted.name, outlookLine(seen)])),
      ...kubernetes,
    },
    warnings: [
      ...withoutSnapshot(due),
      ...looks.flatMap(({ volumes }) => (volumes === undefined ? [] : [volumes])),
      ...(await clusterStorage(surroundings, due)),
      ...initiatorChanges(looks),
      ...adviceFor(due, surroundings.advised),
    ],
    obstacles: [
      ...new Set(looks.flatMap(({ waits = [] }) => waits)),
      ...problemLines(obstacles).map((line) => `the rollout would be refused right now: ${line}`),
      ...[...new Set(looks.flatMap(({ strays = [] }) => strays))].map(
        (stray) =>
          `${stray}: the rollout does not start unless this deployment removes it from the cluster first`,
      ),
    ],
    notes: hopNotes(
      all,
      due.map(({ context: { wanted }, facts }) => ({ wanted, facts })),
    ),
  };
}

/** No node has a name with a space. */
const onWay = "Kubernetes on the way";

/** What is done to Kubernetes before the last step; nothing where that cannot be told now, which the guards say. */
async function kubernetesOnWay(
  call: Parameters<typeof foreseenKubernetes>[0],
  due: readonly { context: { wanted: HoppingNode }; facts: NodeFacts }[],
): Promise<Record<string, string>> {
  const ways = due.map(({ context: { wanted }, facts: { version } }): [string, ...string[]] => {
    const legs = legsOf({ version }, wanted).map((leg) => leg.wanted.talosVersion);
    return [version, ...(legs.length === 0 ? [wanted.talosVersion] : legs)];
  });
  try {
    const line = await foreseenKubernetes(call, ways);
    return line === undefined ? {} : { [onWay]: line };
  } catch (error) {
    if (error instanceof KubernetesError || (error instanceof TalosError && error.kind !== "cancelled"))
      return {};
    throw error;
  }
}

/** A cluster that is being adopted has its kubeconfig already; the stack gets one in the deployment. Nothing where no control plane gives one out. */
async function otherKubeconfig(
  surroundings: Surroundings,
  urn: string,
  any: NodeUpgradeInputs | undefined,
  signal: AbortSignal,
): Promise<{ kubeconfig?: string }> {
  if (any === undefined) return {};
  const session = await Session.open(surroundings, urn, any, signal);
  try {
    const call = { deadlineMs: surroundings.patience.probeMs * 2, signal };
    return { kubeconfig: await givenKubeconfig(session.context.peer, any.controlPlanes, call) };
  } catch (error) {
    if (error instanceof KubernetesError || (error instanceof TalosError && error.kind !== "cancelled"))
      return {};
    throw error;
  } finally {
    session.close();
  }
}

/** How often the same is asked of a node that fails to answer: a busy node is no reason for another line than the update's. */
const tries = 3;

async function asked<T>({ clock, patience, signal }: UpgradeContext, ask: () => Promise<T>): Promise<T> {
  for (let time = 1; ; time++) {
    try {
      return await ask();
    } catch (error) {
      const mayPass = isTransient(error) || (error instanceof TalosError && error.kind === "failed");
      if (!mayPass || time === tries) throw error;
      await clock.sleep(patience.pollMs, signal);
    }
  }
}

/** What a reviewer has to know of the cluster's storage; nothing where no node is due. */
async function clusterStorage(
  surroundings: Surroundings,
  due: readonly { context: { wanted: NodeUpgradeInputs } }[],
): Promise<string[]> {
  const wanted = due.map(({ context }) => context.wanted);
  const kubeconfig = wanted[0]?.kubeconfig;
  if (kubeconfig === undefined) return [];
  const drained = wanted.find(({ drain }) => drain.enabled);
  const gates = wanted.some(({ storageGate }) => storageGate.enabled !== false);
  try {
    return await surveyStorage(await surroundings.connectKubernetes(kubeconfig), {
      drains: drained?.drain.whenBlocked,
      gates,
    });
  } catch (error) {
    // A kubeconfig that cannot be used is told by each node's guard.
    if (!(error instanceof KubernetesError)) throw error;
    return [];
  }
}

/** `etcd 3.6.12, storage 3.6.0 -> 3.7.1`; nothing where it cannot be told now: the guard says why. */
async function etcdText(context: UpgradeContext, facts: NodeFacts): Promise<string | undefined> {
  const { wanted, talos, patience, signal } = context;
  if (wanted.role !== "controlplane") return undefined;
  try {
    const status = await asked(context, () => talos.etcdStatus({ deadlineMs: patience.probeMs * 2, signal }));
    const before = etcdAfter({ talosVersion: facts.version });
    const after = etcdAfter(wanted);
    // One that is not Talos's own stays what it is.
    const changes = after !== undefined && before === status.version && after !== status.version;
    return `${describeEtcd(status)}${changes ? ` -> ${after}` : ""}`;
  } catch (error) {
    if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    return undefined;
  }
}

/** A minor upgrade of a control plane without a snapshot is worth a warning. */
function withoutSnapshot(
  due: readonly { context: { wanted: NodeUpgradeInputs }; facts: NodeFacts }[],
): string[] {
  const bare = due.filter(
    ({ context: { wanted }, facts }) =>
      wanted.role === "controlplane" &&
      wanted.etcdSnapshot === undefined &&
      minorOf(facts.version) !== minorOf(wanted.talosVersion),
  );
  if (bare.length === 0) return [];
  const names = bare.map(({ context: { wanted } }) => wanted.name).join(", ");
  return [
    `${names}: no snapshot of etcd is taken before this step to another minor release. To take one, set upgrade.etcdSnapshot.`,
  ];
}

function minorOf(version: string): string {
  return version.split(".").slice(0, 2).join(".");
}

interface Look {
  wanted: HoppingNode;
  outlook: NodeOutlook;
  facts?: NodeFacts;
  /** What stands against its next step. */
  obstacle?: UpgradeError;
  /** Why it cannot get to its release, whatever its next step is. */
  deadEnd?: UpgradeError;
  /** What it, and others, would have to wait for. */
  waits?: string[];
  /** etcd members that have to be gone by then. */
  strays?: string[];
  /** What of its volumes a reviewer has to know. */
  volumes?: string;
  /** The initiator name that it gets. */
  initiator?: string;
}

async function lookAt(
  surroundings: Surroundings,
  urn: string,
  wanted: HoppingNode,
  isListed: boolean,
  signal: AbortSignal,
): Promise<Look> {
  const session = await Session.open(surroundings, urn, wanted, signal);
  const { context } = session;
  // Nobody waits for a preview's guards: what they say meanwhile is not shown.
  const quiet = { ...context, progress: silentProgress };
  const to = imageOf(wanted);
  const asNew: NodeOutlook = { fate: "new", to };
  try {
    const facts = await asked(context, () =>
      readFacts(context.talos, wanted, { deadlineMs: context.patience.probeMs * 2, signal }),
    );
    const runs: OutlookImage = { version: facts.version, schematicId: facts.schematicId };
    if (isSettled(facts, wanted))
      return {
        wanted,
        facts,
        outlook: isListed ? { fate: "stays", runs: { ...runs, name: wanted.imageName } } : asNew,
      };
    const legs = legsOf(facts, wanted);
    const hops = legs.slice(0, -1).map((leg) => leg.wanted.talosVersion);
    const own: NodeOutlook = { fate: "upgrade", runs, hops, to, etcd: await etcdText(context, facts) };
    const strays: string[] = [];
    const onStray = (finding: Finding): void => void strays.push(problemsOf([finding]));
    const [deadEnd, obstacle, volumes, initiator] = await Promise.all([
      wayProblem(context, facts, wanted),
      guardNext(surroundings, urn, legs[0]?.wanted ?? wanted, quiet, facts, onStray),
      wanted.drain.enabled ? undefined : volumesAtRisk(context.storage),
      futureInitiator(context.talos, facts, wanted, { deadlineMs: context.patience.probeMs * 2, signal }),
    ]);
    return {
      ...{ wanted, facts, outlook: own, strays, waits: await outlook(quiet) },
      ...(deadEnd === undefined ? {} : { deadEnd }),
      ...(obstacle === undefined ? {} : { obstacle }),
      ...(initiator === undefined ? {} : { initiator }),
      ...(volumes === undefined ? {} : { volumes: `${wanted.name}: is not drained and ${volumes}` }),
    };
  } catch (error) {
    if (!(error instanceof TalosError)) throw error;
    // A node that is new: it gets its configuration, and with it the image, before the rollout begins.
    if ((await strangersCertificate(error, context.talos)) !== undefined) {
      return { wanted, outlook: asNew };
    }
    return {
      wanted,
      outlook: !isListed && isTransient(error) ? asNew : { fate: "unread", to },
      obstacle: noContact(await closerLook(error, context), context),
    };
  } finally {
    session.close();
  }
}

/** What stands against the next step of a node: that to the first release on its way, or else to the wanted one. */
async function guardNext(
  surroundings: Surroundings,
  urn: string,
  next: HoppingNode,
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
    const kubernetes = (runs?: string): string | undefined => kubernetesBefore(next, facts.version, runs);
    await guard(own, facts, { survey: true, onStray, kubernetes });
    return undefined;
  } catch (error) {
    return told(context, error);
  } finally {
    session?.close();
  }
}

function imageOf({ talosVersion, schematicId, imageName }: NodeUpgradeInputs): OutlookImage {
  return { version: talosVersion, schematicId, name: imageName };
}

/** What stands against an upgrade. A node in motion is none of it: it is waited for. */
function told(context: UpgradeContext, error: unknown): UpgradeError | undefined {
  if (error instanceof NodeMoved) return undefined;
  if (error instanceof UpgradeError) return error;
  if (error instanceof TalosError) return noContact(error, context);
  throw error;
}
