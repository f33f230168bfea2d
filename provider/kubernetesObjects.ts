import type { V1Node, V1ObjectMeta, V1Pod, V1PodStatus } from "@kubernetes/client-node";
import { withoutIscsiLabel } from "../talos/iscsi.ts";
import type { KubernetesNode, KubernetesPod } from "./kubernetes.ts";

/** Where the kubelet discovers drivers: every CSI driver's node pod mounts it. */
const pluginRegistryPath = "/var/lib/kubelet/plugins_registry";

/** The parts of a Node object that an upgrade needs. */
export function toKubernetesNode({ metadata, spec, status }: V1Node): KubernetesNode {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  return {
    name: metadata?.name ?? "",
    unschedulable: spec?.unschedulable ?? false,
    ready: ready?.status === "True",
    reason:
      ready === undefined ? "no kubelet has reported yet" : (ready.message ?? ready.reason ?? ready.status),
    bootId: status?.nodeInfo?.bootID ?? "",
    annotations: metadata?.annotations ?? {},
    ...(status?.nodeInfo?.kubeletVersion ? { kubeletVersion: status.nodeInfo.kubeletVersion } : {}),
    ...(metadata?.labels?.["node-role.kubernetes.io/control-plane"] === undefined
      ? {}
      : { controlPlane: true as const }),
    ...(metadata?.labels?.[withoutIscsiLabel.key] === withoutIscsiLabel.value
      ? { withoutIscsi: true as const }
      : {}),
    addresses: (status?.addresses ?? []).map(({ address }) => address),
    volumesInUse: status?.volumesInUse ?? [],
  };
}

/** The parts of a Pod object that an upgrade needs. */
export function toKubernetesPod({ metadata, spec, status }: V1Pod): KubernetesPod {
  const { namespace = "", name = "" } = metadata ?? {};
  return {
    namespace,
    name,
    uid: metadata?.uid ?? "",
    owner: ownerKind(metadata),
    mirror: metadata?.annotations?.["kubernetes.io/config.mirror"] !== undefined,
    finished: status?.phase === "Succeeded" || status?.phase === "Failed",
    running: status?.phase === "Running" && metadata?.deletionTimestamp === undefined,
    ready: hasCondition(status, "Ready"),
    reason: whyNotRunning(status),
    registersDriver: (spec?.volumes ?? []).some(({ hostPath }) =>
      hostPath?.path.startsWith(pluginRegistryPath),
    ),
    claims: (spec?.volumes ?? []).flatMap(({ name: volume, persistentVolumeClaim: claim, ephemeral }) => {
      // The claim of a generic ephemeral volume is named after its pod and the volume.
      const own = ephemeral === undefined ? undefined : `${name}-${volume}`;
      const used = claim?.claimName ?? own;
      return used === undefined ? [] : [`${namespace}/${used}`];
    }),
  };
}

function ownerKind(metadata: V1ObjectMeta | undefined): string | undefined {
  return metadata?.ownerReferences?.find(({ controller }) => controller)?.kind;
}

function hasCondition(status: V1PodStatus | undefined, type: string): boolean {
  return (
    status?.conditions?.some((condition) => condition.type === type && condition.status === "True") ?? false
  );
}

/** Why a pod isn't running, in the cluster's words; empty if no reason is given. */
function whyNotRunning(status: V1PodStatus | undefined): string {
  const waiting = status?.containerStatuses?.find(({ state }) => state?.waiting !== undefined)?.state
    ?.waiting;
  const unscheduled = status?.conditions?.find(
    ({ type, status: is }) => type === "PodScheduled" && is === "False",
  );
  return unscheduled?.message ?? waiting?.message ?? waiting?.reason ?? "";
}
