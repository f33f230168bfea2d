import type { NodeUpgradeInputs } from "../talos/inputs/nodeUpgrade.ts";
import type { ConfigurationToBe } from "../talos/inputs/rolloutReadiness.ts";
import type { Hop } from "../talos/inputs/hops.ts";
import { isTransient, TalosError } from "../talos/api/errors.ts";
import { configChanges } from "../talos/configChanges.ts";
import {
  readImages,
  keepRunningImages,
  pinnedComponents,
  releaseOfImage,
  type KubernetesImages,
} from "../talos/kubernetesImages.ts";
import { ConfigTextError } from "../talos/configTree.ts";
import { kubernetesMinor, kubernetesReleasesBetween } from "../talos/kubernetesPath.ts";
import type { PlannedNode, RolloutPlan } from "../talos/rolloutPlan.ts";
import type { KnownSecret } from "../talos/secrecy/known.ts";
import type { UpgradeContext } from "./context.ts";
import { remainingHops, type NodeWithHops } from "./hops/path.ts";
import { runsWantedImage, readFacts, type NodeFacts } from "./facts.ts";
import { componentsBehind, lookAtNode } from "./kubernetesUpgrade/look.ts";
import type { Departure } from "../talos/members.ts";
import { preflightNodes } from "./hops/hopInputs.ts";
import { hasUnknown, type Properties } from "./secrets.ts";
import { Session, type Surroundings } from "./session.ts";
import { readNodes } from "./readNodes.ts";

/** Sources of the plan besides the nodes. */
export interface PlanSources {
  /** Inputs as for a RolloutPreflight. */
  rollout: Properties;
  /** The desired machine configuration of each node and its patches, by node name. */
  configurations: Readonly<Record<string, ConfigurationToBe>>;
  /** Values that must not appear in any line, whatever their names. */
  hidden?: KnownSecret[] | undefined;
  leaving: readonly Departure[];
  /** Nodes in the state: their running version counts, and they must answer. */
  known: ReadonlySet<string>;
}

/**
 * What a deployment would do to the nodes, from reading each one. A preview and its deployment get the same result if nobody changes a node in between.
 * Undefined while the nodes' desired state is unknown.
 *
 * A new node that accepts anyone, or doesn't answer, joins the cluster. Before the cluster's secrets are created nothing else is known of it, so the plan holds
 * nothing else.
 */
export async function planDeployment(
  surroundings: Surroundings,
  urn: string,
  sources: PlanSources,
  signal: AbortSignal,
): Promise<RolloutPlan | undefined> {
  const { rollout, configurations, leaving } = sources;
  const { clientConfiguration, ...wanted } = rollout;
  if (hasUnknown(wanted)) return undefined;
  const isNew = hasUnknown(clientConfiguration);
  if (isNew && sources.known.size > 0) return undefined;
  const nodes = preflightNodes(rollout);
  const planned: Record<string, PlannedNode> = {};
  let isUnknown = false;
  await readNodes(nodes, async (node) => {
    const look = isNew ? newNode(node) : await planNode(surroundings, urn, node, sources, signal);
    if (look === "unknown") isUnknown = true;
    else if (look !== undefined) planned[node.name] = look;
  });
  if (isUnknown || (!isNew && nodes.some(({ name }) => configurations[name] === undefined))) return undefined;
  return {
    stack: /^urn:pulumi:(.*?)::/.exec(urn)?.[1] ?? "",
    nodes: planned,
    leaving: Object.fromEntries(
      leaving.map(({ member, way }) => [member.name, { address: member.node, way }]),
    ),
  };
}

async function planNode(
  surroundings: Surroundings,
  urn: string,
  wanted: NodeWithHops,
  { configurations, hidden, known }: PlanSources,
  signal: AbortSignal,
): Promise<PlannedNode | "unknown" | undefined> {
  const session = await Session.open(surroundings, urn, wanted, signal);
  const isKnown = known.has(wanted.name);
  try {
    const { facts, running } = await readFactsAndConfiguration(session.context);
    const toBe = configurations[wanted.name];
    if (toBe === undefined || hasUnknown(toBe)) return "unknown";
    const { text, patches } = toBe;
    const upgrade = runsWantedImage(facts, wanted)
      ? undefined
      : plannedUpgrade(describeRunning(facts), wanted, remainingHops(facts, wanted));
    // A machine without a configuration accepts anyone and knows nothing about this cluster.
    if (running === undefined) return isKnown ? unreadNode(wanted) : newNode(wanted);
    const configuration = plannedConfiguration(running, text, hidden, patches);
    const kubernetes = await plannedKubernetes(session.context, running, patches, wanted);
    if (upgrade === undefined && configuration === undefined && kubernetes === undefined) return undefined;
    return {
      ...addressAndRole(wanted),
      ...(upgrade === undefined ? {} : { upgrade }),
      ...(configuration === undefined ? {} : { configuration }),
      ...(kubernetes === undefined ? {} : { kubernetes }),
    };
  } catch (error) {
    if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    return isKnown ? unreadNode(wanted) : newNode(wanted);
  } finally {
    session.close();
  }
}

/** Attempts per node: a busy node must not make the plan differ from the deployment's. */
const readAttempts = 3;

async function readFactsAndConfiguration(
  context: UpgradeContext,
): Promise<{ facts: NodeFacts; running: string | undefined }> {
  const { talos, wanted, timeouts, signal } = context;
  const call = { deadlineMs: timeouts.probeMs * 2, signal };
  return retryRead(context, async () => {
    const [facts, running] = await Promise.all([
      readFacts(talos, wanted, call),
      talos.machineConfiguration(call),
    ]);
    return { facts, running };
  });
}

async function retryRead<T>({ timeouts, clock, signal }: UpgradeContext, ask: () => Promise<T>): Promise<T> {
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

/** What a Kubernetes upgrade would change on the node. It runs only if the setting changed; an adopted cluster stays as it is until then. */
async function plannedKubernetes(
  context: UpgradeContext,
  running: string,
  patches: readonly string[],
  { kubernetes }: Pick<NodeWithHops, "kubernetes">,
): Promise<PlannedNode["kubernetes"]> {
  const { kubernetesVersion: to, name, node, role } = context.wanted;
  if (to === undefined) return undefined;
  try {
    const pinned = [...pinnedComponents(patches)];
    const known = { name, node, role, pinned };
    // Only Kubernetes knows the kubelets' versions, and its credentials may not exist yet.
    const look =
      role === "worker"
        ? { node: known, images: readImages(running), runs: {} as KubernetesImages }
        : await retryRead(context, () => lookAtNode(known, context));
    const from = componentsBehind(look, to).map((component): [string, string] => [
      component,
      look.runs[component] ?? releaseOfImage(look.images[component]) ?? "not known",
    ]);
    if (from.length === 0) return undefined;
    const oldest = from
      .map(([, release]) => release)
      .sort((a, b) => (kubernetesMinor(a) ?? Infinity) - (kubernetesMinor(b) ?? Infinity))[0];
    const through =
      kubernetesReleasesBetween(oldest ?? to, to, kubernetes?.releases ?? [])?.slice(0, -1) ?? [];
    return { to, from: Object.fromEntries(from), ...(through.length === 0 ? {} : { through }) };
  } catch (error) {
    if (!(error instanceof ConfigTextError)) throw error;
    return undefined;
  }
}

/** The node keeps its Kubernetes images: only a Kubernetes upgrade changes them. */
function plannedConfiguration(
  running: string,
  wanted: string,
  hidden: KnownSecret[] | undefined,
  patches: string[],
): PlannedNode["configuration"] {
  try {
    const due = keepRunningImages(wanted, running, patches);
    const { lines, digest } = configChanges({ running, wanted: due, patches: [], accepted: [], hidden });
    return lines.length === 0 ? undefined : { lines: [...lines], digest };
  } catch (error) {
    if (!(error instanceof ConfigTextError)) throw error;
    // Its own resource reports the reason.
    return { lines: ["cannot be compared"], digest: "" };
  }
}

function addressAndRole({ node, role }: NodeUpgradeInputs): Pick<PlannedNode, "address" | "role"> {
  return { address: node, role };
}

function plannedUpgrade(
  from: string,
  wanted: NodeUpgradeInputs,
  hops: readonly Hop[] = [],
): NonNullable<PlannedNode["upgrade"]> {
  const through = hops.map(({ talosVersion, image }) => `${talosVersion} (${image})`);
  return {
    from,
    to: describeTarget(wanted),
    image: wanted.image,
    ...(through.length === 0 ? {} : { through }),
  };
}

function unreadNode(wanted: NodeUpgradeInputs): PlannedNode {
  return { ...addressAndRole(wanted), upgrade: plannedUpgrade("not read", wanted) };
}

function newNode(wanted: NodeUpgradeInputs): PlannedNode {
  return { ...addressAndRole(wanted), joins: { to: describeTarget(wanted), image: wanted.image } };
}

function describeTarget({ talosVersion, schematicId }: NodeUpgradeInputs): string {
  return `${talosVersion} with schematic ${schematicId}`;
}

function describeRunning({ version, schematicId }: NodeFacts): string {
  return schematicId === undefined
    ? `${version} with no schematic`
    : `${version} with schematic ${schematicId}`;
}
