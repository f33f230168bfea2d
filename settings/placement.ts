import type { CsiSettings } from "../components/csi/csiProblems.ts";
import type { ClusterSettings } from "./schema.ts";

/** The taint that Talos sets on control planes unless `cluster.allowSchedulingOnControlPlanes` is set. */
const controlPlaneTaint = { key: "node-role.kubernetes.io/control-plane", effect: "NoSchedule" } as const;

interface Toleration {
  key?: string | undefined;
  operator?: "Exists" | "Equal" | undefined;
  effect?: "NoSchedule" | "PreferNoSchedule" | "NoExecute" | undefined;
}

/**
 * Lets driver controllers and storage probe pods run on control planes if the cluster has no workers or only tainted ones; for a probe, no others with iSCSI.
 * Otherwise the pods would stay Pending and `pulumi up` would wait for them in vain, or nothing would be probed.
 */
export function addControlPlaneTolerations(
  settings: CsiSettings & { cluster: ClusterSettings },
): Pick<CsiSettings, "joviandss" | "synology" | "snapshotController"> {
  const { joviandss, synology, snapshotController } = settings;
  const open = settings.cluster.nodes.filter(
    ({ role, taints }) => role === "worker" && !keepsPodsOff(taints),
  );
  const needs = { controller: open.length === 0, probe: !open.some(({ iscsi }) => iscsi) };
  return {
    joviandss: joviandss && withDriverTolerations(joviandss, needs),
    synology: synology && withDriverTolerations(synology, needs),
    snapshotController:
      snapshotController && needs.controller ? withToleration(snapshotController) : snapshotController,
  };
}

/** Do these taints keep pods without a toleration off the node? */
function keepsPodsOff(taints: Readonly<Record<string, string>>): boolean {
  return Object.values(taints).some((taint) => !taint.endsWith("PreferNoSchedule"));
}

function withDriverTolerations<
  Driver extends { controller: TolerantWorkload; probe?: TolerantWorkload | undefined },
>(driver: Driver, needs: { controller: boolean; probe: boolean }): Driver {
  const { controller, probe } = driver;
  return {
    ...driver,
    controller: needs.controller ? withToleration(controller) : controller,
    ...(probe === undefined || !needs.probe ? {} : { probe: withToleration(probe) }),
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
