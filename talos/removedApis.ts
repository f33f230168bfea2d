/**
 * Removed Kubernetes API versions, by the first minor release without them (k8s.io/api, APILifecycleRemoved of v0.37.1, and of older releases for APIs missing
 * there). Starts with the oldest release that a known Talos supports.
 */
const removed: Readonly<Record<number, Readonly<Record<string, readonly string[]>>>> = {
  25: {
    "autoscaling/v2beta1": ["HorizontalPodAutoscaler"],
    "batch/v1beta1": ["CronJob"],
    "discovery.k8s.io/v1beta1": ["EndpointSlice"],
    "events.k8s.io/v1beta1": ["Event"],
    "node.k8s.io/v1beta1": ["RuntimeClass"],
    "policy/v1beta1": ["PodDisruptionBudget", "PodSecurityPolicy"],
  },
  26: {
    "autoscaling/v2beta2": ["HorizontalPodAutoscaler"],
    "flowcontrol.apiserver.k8s.io/v1beta1": ["FlowSchema", "PriorityLevelConfiguration"],
  },
  27: { "storage.k8s.io/v1beta1": ["CSIStorageCapacity"] },
  29: { "flowcontrol.apiserver.k8s.io/v1beta2": ["FlowSchema", "PriorityLevelConfiguration"] },
  32: {
    "admissionregistration.k8s.io/v1alpha1": [
      "ValidatingAdmissionPolicy",
      "ValidatingAdmissionPolicyBinding",
    ],
    "flowcontrol.apiserver.k8s.io/v1beta3": ["FlowSchema", "PriorityLevelConfiguration"],
  },
  33: { "networking.k8s.io/v1alpha1": ["IPAddress", "ServiceCIDR"] },
  34: {
    "admissionregistration.k8s.io/v1beta1": ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"],
  },
  35: { "storage.k8s.io/v1alpha1": ["VolumeAttributesClass"] },
  36: { "storagemigration.k8s.io/v1alpha1": ["StorageVersionMigration"] },
  37: {
    "certificates.k8s.io/v1alpha1": ["ClusterTrustBundle"],
    "networking.k8s.io/v1beta1": ["IPAddress", "ServiceCIDR"],
    "resource.k8s.io/v1alpha3": ["DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice"],
    "storage.k8s.io/v1beta1": ["VolumeAttributesClass"],
  },
  38: {
    "admissionregistration.k8s.io/v1alpha1": ["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"],
    "coordination.k8s.io/v1alpha2": ["LeaseCandidate"],
    "resource.k8s.io/v1beta1": ["DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice"],
  },
};

/**
 * Declared objects whose API version the release doesn't have, each kind once: `CronJob of batch/v1beta1 (gone in v1.25)`.
 * @param types Pulumi type tokens, `kubernetes:apps/v1:DaemonSet`; others are ignored
 * @param kubernetesVersion `v1.36.1`
 */
export function removedObjects(types: Iterable<string>, kubernetesVersion: string): string[] {
  const target = Number(/^v1\.(\d+)\./.exec(kubernetesVersion)?.[1] ?? 0);
  const found = [...types].flatMap((type): string[] => {
    const [, apiVersion = "", kind = ""] = /^kubernetes:(.+):(\w+)$/.exec(type) ?? [];
    const gone = Object.entries(removed).find(
      ([minor, apis]) =>
        Number(minor) <= target && Object.hasOwn(apis, apiVersion) && apis[apiVersion]?.includes(kind),
    )?.[0];
    return gone === undefined ? [] : [`${kind} of ${apiVersion} (gone in v1.${gone})`];
  });
  return [...new Set(found)].sort();
}
