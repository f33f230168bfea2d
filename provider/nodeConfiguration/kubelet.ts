import type { NodeConfigurationInputs } from "../../talos/inputs/nodeConfiguration.ts";
import { coded, type CodedText } from "../../talos/errorCodes.ts";
import { TalosError } from "../../talos/api/errors.ts";
import type { Connections } from "../connections.ts";
import { fetchKubeconfig } from "../fetchKubeconfig.ts";
import { nodeLabel } from "../inputs.ts";
import { KubernetesError, type KubernetesClient } from "../kubernetes.ts";
import type { Surroundings } from "../session.ts";
import { findNode } from "../steps/drain.ts";
import { listFirst, volumesWithSessions } from "../storage/describe.ts";
import { readIscsiSessions } from "../storage/sessions.ts";

/** Changed lines that restart the kubelet: its section, its image (and so the Kubernetes release), and its documents. */
const kubeletLine = /^[-+~] (machine\.kubelet\b|Kubelet[A-Za-z]*\[?)/;

/** Whether the change restarts the kubelet, which then stages every volume in use again. */
export function restartsKubelet(lines: readonly string[]): boolean {
  return lines.some((line) => kubeletLine.test(line));
}

/** Names of drivers that log out a live session when its volume is staged again, unless one of this program's shims intercepts it. */
const unsafeDriverNames = /joviandss|open-e/i;
/** On the pods of a node plugin that has the shims. */
const shimsMark = "talos-iscsi/shims-checksum";

/** iSCSI volumes on a node whose kubelet is about to restart. */
interface VolumesAtStake {
  /** One entry per volume: claim, driver, target, and the pods that use it. Empty: there are none. */
  entries: string[];
  /** Those of their drivers that would log sessions out. */
  unsafe: string[];
  /** A control plane's kubeconfig; absent if none could be asked. */
  kubeconfig?: string;
}

/** The node whose kubelet is about to restart, and how to reach it and its control planes. */
export interface KubeletLook {
  surroundings: Pick<Surroundings, "timeouts" | "connectKubernetes">;
  signal: AbortSignal;
  wanted: Pick<NodeConfigurationInputs, "name" | "node" | "controlPlanes">;
  connections: Pick<Connections, "to">;
}

/**
 * Reads the volumes on a node from Kubernetes, with credentials from a control plane, since the stack's own kubeconfig comes after the configurations. Throws a
 * TalosError or a KubernetesError if they can't be read.
 */
export async function readAttachedVolumes({ surroundings, signal, wanted, connections }: KubeletLook) {
  const call = { deadlineMs: surroundings.timeouts.probeMs * 2, signal };
  const [own, kubeconfig] = await Promise.all([
    connections.to(wanted.node).kubernetesNode(call),
    fetchKubeconfig((address) => connections.to(address), wanted.controlPlanes, call),
  ]);
  const kubernetes = await surroundings.connectKubernetes(kubeconfig);
  const node = findNode(await kubernetes.nodes(), own, wanted.node)?.name ?? own ?? "";
  const [attached, volumes, pods] = await Promise.all([
    kubernetes.storage.attachments.list(),
    kubernetes.storage.volumes(),
    kubernetes.podsOn(node).list(),
  ]);
  const attachments = attached.objects.filter((attachment) => attachment.node === node);
  return { kubernetes, kubeconfig, node, attachments, volumes, pods: pods.objects };
}

/** What a node's kubelet would stage again. Throws like `readAttachedVolumes`. */
async function volumesAtStake(look: KubeletLook): Promise<VolumesAtStake> {
  const call = { deadlineMs: look.surroundings.timeouts.probeMs * 2, signal: look.signal };
  const sessions = await readIscsiSessions(look.connections.to(look.wanted.node), call);
  if (sessions.length === 0) return { entries: [], unsafe: [] };
  const { kubernetes, kubeconfig, attachments, volumes, pods } = await readAttachedVolumes(look);
  const found = volumesWithSessions({ attachments, inUse: [], sessions }, volumes, pods);
  // Whether or not a session can be attributed to them.
  const suspects = [
    ...new Set(attachments.map(({ driver }) => driver).filter((driver) => unsafeDriverNames.test(driver))),
  ];
  return {
    entries: found,
    unsafe: suspects.length === 0 ? [] : await driversWithoutShims(kubernetes, suspects),
    kubeconfig,
  };
}

/**
 * The preview's warning; undefined if nothing is at stake.
 * @param drains the node is drained if needed
 */
export async function kubeletWarning(look: KubeletLook, drains: boolean): Promise<string | undefined> {
  const label = nodeLabel(look.wanted);
  try {
    const { entries, unsafe } = await volumesAtStake(look);
    if (entries.length === 0) return undefined;
    const warning = `${label}: this restarts the kubelet, which restages its iSCSI volumes under running pods: ${listFirst(entries)}`;
    if (unsafe.length === 0) return warning;
    const outcome = drains
      ? "The node is drained first, one node at a time, and uncordoned when its kubelet is back."
      : refusal;
    return `${warning}. ${describeMissingShims(unsafe)} ${outcome}`;
  } catch (error) {
    if (!isApiError(error)) throw error;
    return `${label}: this restarts the kubelet. The pods with iSCSI volumes there could not be read: ${error.message}`;
  }
}

/** What a kubelet restart needs: nothing; a drain, with this kubeconfig; or an answer that is still missing. */
type KubeletStake =
  { is: "free" } | ({ is: "drain"; kubeconfig: string } & ToldStake) | ({ is: "unknown" } & ToldStake);

interface ToldStake {
  /** Why the configuration was not applied, for the user. */
  reason: CodedText;
  /** The problem with a restart, without the remedy. */
  problem: string;
}

/** Reads the node's current state. */
export async function readKubeletStake(look: KubeletLook): Promise<KubeletStake> {
  const label = nodeLabel(look.wanted);
  try {
    const { entries, unsafe, kubeconfig } = await volumesAtStake(look);
    if (unsafe.length === 0 || kubeconfig === undefined) return { is: "free" };
    const under = `under volumes in use: ${listFirst(entries)}`;
    const lack = describeMissingShims(unsafe);
    const reason = coded(
      "kubelet-volumes",
      `${label}: its configuration was not applied, since it restarts the kubelet ${under}`,
      `${lack} ${refusal}`,
    );
    return { is: "drain", kubeconfig, reason, problem: `the kubelet would restart ${under}. ${lack}` };
  } catch (error) {
    if (!isApiError(error)) throw error;
    const whose = `the node has iSCSI sessions, and their owner could not be read: ${error.message}`;
    const reason = coded(
      "volumes-unknown",
      `${label}: its configuration was not applied: it restarts the kubelet, and ${whose}`,
      "Run `pulumi up` again when the Kubernetes API answers.",
    );
    return { is: "unknown", reason, problem: whose };
  }
}

function describeMissingShims(drivers: readonly string[]): string {
  return `The driver ${drivers.join(", ")} on this cluster lacks this program's shims and would log the sessions out: the disks would disappear under their pods.`;
}

const refusal =
  "With upgrade.drain.enabled: false, it is not applied until they have left: drain the node (`kubectl drain`), run `pulumi up`, and uncordon it; or deploy the driver with this program first.";

/** Whether the error comes from a node or Kubernetes, including a missing answer. */
export function isApiError(error: unknown): error is Error {
  return (error instanceof TalosError && error.kind !== "cancelled") || error instanceof KubernetesError;
}

/** A node plugin is recognized by its folder on the node. */
async function driversWithoutShims(
  kubernetes: KubernetesClient,
  drivers: readonly string[],
): Promise<string[]> {
  const sets = (await kubernetes.objects({ apiVersion: "apps/v1", kind: "DaemonSet" })) as DaemonSet[];
  const pluginOf = (driver: string): DaemonSet | undefined =>
    sets.find(({ spec }) =>
      spec?.template?.spec?.volumes?.some(({ hostPath }) => hostPath?.path?.includes(driver)),
    );
  return drivers.filter(
    (driver) => pluginOf(driver)?.spec?.template?.metadata?.annotations?.[shimsMark] === undefined,
  );
}

interface DaemonSet {
  spec?: {
    template?: {
      metadata?: { annotations?: Record<string, string> };
      spec?: { volumes?: { hostPath?: { path?: string } }[] };
    };
  };
}
