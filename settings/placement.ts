import type { CsiSettings } from "../components/csi/csiProblems.ts";
import type { Problem } from "../components/csi/problems.ts";
import { withoutIscsiLabel } from "../talos/iscsi.ts";
import { splitTaint, type Effect } from "../talos/nodeMetadata.ts";
import type { ClusterSettings } from "./schema.ts";

/** The taint and the label that Talos sets on control planes; the taint only unless `cluster.allowSchedulingOnControlPlanes` is set. */
const controlPlaneKey = "node-role.kubernetes.io/control-plane";
const controlPlaneTaint = { key: controlPlaneKey, value: "", effect: "NoSchedule" } as const;

interface Taint {
  key: string;
  value: string;
  effect: Effect;
}

interface Toleration {
  key?: string | undefined;
  operator?: "Exists" | "Equal" | undefined;
  value?: string | undefined;
  effect?: Effect | undefined;
}

interface TolerantWorkload {
  tolerations: Toleration[];
}

type Node = Pick<ClusterSettings["nodes"][number], "role" | "labels" | "taints" | "iscsi">;

/**
 * Lets driver controllers and storage probe pods run on control planes if the cluster has no workers or only ones whose taints they don't tolerate; for a probe,
 * no others with iSCSI. Otherwise the pods would stay Pending and `pulumi up` would wait for them in vain, or nothing would be probed.
 */
export function addControlPlaneTolerations(
  settings: CsiSettings & { cluster: { nodes: readonly Node[] } },
): Pick<CsiSettings, "joviandss" | "synology" | "snapshotController"> {
  const { joviandss, synology, snapshotController } = settings;
  const workers = settings.cluster.nodes.filter(({ role }) => role === "worker");
  return {
    joviandss: joviandss && withDriverTolerations(joviandss, workers),
    synology: synology && withDriverTolerations(synology, workers),
    snapshotController: snapshotController && withToleration(snapshotController, workers),
  };
}

function withDriverTolerations<
  Driver extends { controller: TolerantWorkload; probe?: TolerantWorkload | undefined },
>(driver: Driver, workers: Node[]): Driver {
  const { controller, probe } = driver;
  const probed = workers.filter(({ iscsi }) => iscsi);
  return {
    ...driver,
    controller: withToleration(controller, workers),
    ...(probe === undefined ? {} : { probe: withToleration(probe, probed) }),
  };
}

function withToleration<Workload extends TolerantWorkload>(workload: Workload, workers: Node[]): Workload {
  const { tolerations } = workload;
  const others = workers.some(({ taints }) => tolerateAll(tolerations, taintsOf(taints)));
  if (others || tolerateAll(tolerations, [controlPlaneTaint])) return workload;
  const { key, effect } = controlPlaneTaint;
  return { ...workload, tolerations: [...tolerations, { key, operator: "Exists", effect }] };
}

/** Settings with everything that decides where a controller can run. */
export interface PlacedSettings extends CsiSettings {
  cluster: {
    nodes: readonly (Node & { patches: string[]; baseConfiguration?: string })[];
    patches: Record<"all" | "controlplane" | "worker", string[]>;
  };
}

/**
 * Controllers that could never be ready, so that `pulumi up` would wait for them until its time limit. Counts every node that can run them for all that the
 * settings say: patches and files may remove the taint of control planes, and kubectl may have set labels.
 */
export function placementProblems(settings: PlacedSettings): Problem[] {
  const { joviandss, synology, snapshotController } = settings;
  const drivers = Object.entries({ joviandss, synology }).flatMap(([name, driver]) => {
    if (driver === undefined) return [];
    const { nodeSelector, tolerations, replicas, hostNetwork } = driver.controller;
    const path = `${name}.controller`;
    const room = roomFor(settings.cluster, { nodeSelector, tolerations });
    if (room === 0) return [unplaceable(path, "nodeSelector or tolerations")];
    if (!hostNetwork || replicas <= room) return [];
    const nodes = room === 1 ? "1 node" : `${room} nodes`;
    const reason = `is ${replicas}, but only ${nodes} of these settings can run the controller, and with hostNetwork each replica needs a node of its own; use at most ${room}, or let more nodes run it (nodeSelector, tolerations)`;
    return [{ path: `${path}.replicas`, reason }];
  });
  if (snapshotController?.install !== true) return drivers;
  const { tolerations } = snapshotController;
  const room = roomFor(settings.cluster, { nodeSelector: {}, tolerations });
  return room > 0 ? drivers : [...drivers, unplaceable("snapshotController", "tolerations")];
}

function unplaceable(path: string, keys: string): Problem {
  const reason = `no node of these settings can run it, so its pods would stay Pending; change ${keys}`;
  return { path, reason };
}

function roomFor(
  { nodes, patches }: PlacedSettings["cluster"],
  workload: TolerantWorkload & { nodeSelector: Record<string, string> },
): number {
  const selector = Object.entries(workload.nodeSelector);
  const fitting = nodes.filter((node) => {
    const texts = [...patches.all, ...patches[node.role], ...node.patches, node.baseConfiguration ?? ""];
    const tainted = node.role === "controlplane" && !texts.some(maySetTaints);
    const taints = [...(tainted ? [controlPlaneTaint] : []), ...taintsOf(node.taints)];
    return (
      tolerateAll(workload.tolerations, taints) && selector.every(([key, value]) => mayHave(node, key, value))
    );
  });
  // A host name belongs to one node.
  return "kubernetes.io/hostname" in workload.nodeSelector ? Math.min(1, fitting.length) : fitting.length;
}

/** Whether a patch or file may decide about the taint of control planes. Comments of generated files mention it too. */
function maySetTaints(text: string): boolean {
  return /^[^#\n]*(allowScheduling|nodeTaints|KubeNodeConfig)/m.test(text);
}

function mayHave(node: Node, key: string, value: string): boolean {
  const known = knownLabel(node, key);
  return known === undefined || known === value;
}

/** The value of a label; null if the node doesn't have it, undefined if the settings don't say. */
function knownLabel({ role, labels, iscsi }: Node, key: string): string | null | undefined {
  if (key === "kubernetes.io/os") return "linux";
  if (key === controlPlaneKey) return role === "controlplane" ? "" : null;
  if (key === withoutIscsiLabel.key) return iscsi ? null : withoutIscsiLabel.value;
  return labels[key];
}

function taintsOf(taints: Readonly<Record<string, string>>): Taint[] {
  return Object.entries(taints).map(([key, text]) => ({ key, ...splitTaint(text) }));
}

/** Do these tolerations let a pod run on a node with these taints? PreferNoSchedule keeps no pod off. */
function tolerateAll(tolerations: readonly Toleration[], taints: readonly Taint[]): boolean {
  return taints.every(
    (taint) =>
      taint.effect === "PreferNoSchedule" || tolerations.some((toleration) => tolerates(toleration, taint)),
  );
}

/** Kubernetes's rule (k8s.io/api core/v1 ToleratesTaint): an absent key or effect means any, an absent operator Equal, an absent value an empty one. */
function tolerates({ key, operator, value, effect }: Toleration, taint: Taint): boolean {
  if (effect !== undefined && effect !== taint.effect) return false;
  if (key !== undefined && key !== taint.key) return false;
  return operator === "Exists" || (value ?? "") === taint.value;
}
