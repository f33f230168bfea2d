import type { CsiSettings } from "../components/csi/csiProblems.ts";
import type { ClusterSettings } from "./schema.ts";

/** The taint that Talos gives to control planes unless `cluster.allowSchedulingOnControlPlanes` is set. */
const controlPlaneTaint = { key: "node-role.kubernetes.io/control-plane", effect: "NoSchedule" } as const;

interface Toleration {
  key?: string | undefined;
  operator?: "Exists" | "Equal" | undefined;
  effect?: "NoSchedule" | "PreferNoSchedule" | "NoExecute" | undefined;
}

/**
 * The drivers' settings with controllers, and pods of the storage probe, that find a node to run on. In a cluster without workers, or with tainted ones alone, that is a control plane, so they tolerate its
 * taint: otherwise their pods stay Pending and `pulumi up` waits for them in vain.
 */
export function addControlPlaneTolerations(
  settings: CsiSettings & { cluster: ClusterSettings },
): Pick<CsiSettings, "joviandss" | "synology" | "snapshotController"> {
  const { joviandss, synology, snapshotController } = settings;
  if (settings.cluster.nodes.some(({ role, taints }) => role === "worker" && !keepsPodsOff(taints))) {
    return { joviandss, synology, snapshotController };
  }
  return {
    joviandss: joviandss && withDriverTolerations(joviandss),
    synology: synology && withDriverTolerations(synology),
    snapshotController: snapshotController && withToleration(snapshotController),
  };
}

/** Does a node with these taints run no pod that does not ask for it? */
function keepsPodsOff(taints: Readonly<Record<string, string>>): boolean {
  return Object.values(taints).some((taint) => !taint.endsWith("PreferNoSchedule"));
}

/** The probe's pods have no other node to run on either. */
function withDriverTolerations<
  Driver extends { controller: TolerantWorkload; probe?: TolerantWorkload | undefined },
>(driver: Driver): Driver {
  const { controller, probe } = driver;
  return {
    ...driver,
    controller: withToleration(controller),
    ...(probe === undefined ? {} : { probe: withToleration(probe) }),
  };
}

interface TolerantWorkload {
  tolerations: Toleration[];
}

function withToleration<Workload extends TolerantWorkload>(workload: Workload): Workload {
  if (workload.tolerations.some(toleratesControlPlanes)) return workload;
  const toleration: Toleration = { ...controlPlaneTaint, operator: "Exists" };
  return { ...workload, tolerations: [...workload.tolerations, toleration] };
}

function toleratesControlPlanes({ key, effect }: Toleration): boolean {
  return (
    (key ?? controlPlaneTaint.key) === controlPlaneTaint.key && (effect ?? "NoSchedule") === "NoSchedule"
  );
}
