import type * as k8s from "@pulumi/kubernetes";
import type { IscsiDriver, IscsiSnapshotClass, IscsiStorageClass } from "./iscsiDriver.ts";

/** A StorageClass object of a driver. */
export function storageClass(
  driver: IscsiDriver,
  spec: IscsiStorageClass,
): k8s.types.input.storage.v1.StorageClass {
  return {
    metadata: {
      name: spec.name,
      ...(spec.default ? { annotations: { "storageclass.kubernetes.io/is-default-class": "true" } } : {}),
    },
    provisioner: driver.driverName,
    parameters: spec.parameters,
    reclaimPolicy: spec.reclaimPolicy,
    volumeBindingMode: spec.volumeBindingMode,
    allowVolumeExpansion: spec.allowVolumeExpansion,
    ...(spec.mountOptions.length > 0 ? { mountOptions: spec.mountOptions } : {}),
  };
}

/** A VolumeSnapshotClass object of a driver. */
export function volumeSnapshotClass(driver: IscsiDriver, spec: IscsiSnapshotClass) {
  return {
    apiVersion: "snapshot.storage.k8s.io/v1",
    kind: "VolumeSnapshotClass",
    metadata: {
      name: spec.name,
      ...(spec.default ? { annotations: { "snapshot.storage.kubernetes.io/is-default-class": "true" } } : {}),
    },
    driver: driver.driverName,
    deletionPolicy: spec.deletionPolicy,
    ...(Object.keys(spec.parameters).length > 0 ? { parameters: spec.parameters } : {}),
  };
}

/**
 * An admission policy that refuses claims the driver would make but never should. On creation only: access modes cannot
 * change later, and a claim from before the policy must still be deletable, which is an update of its finalizers.
 */
export function claimPolicy(
  name: string,
  accessModes: Readonly<Record<string, readonly string[]>>,
): k8s.types.input.admissionregistration.v1.ValidatingAdmissionPolicy {
  const byClass = `{${Object.entries(accessModes)
    .map(([storageClassName, modes]) => `'${storageClassName}': ${celList(modes)}`)
    .join(", ")}}[object.spec.storageClassName]`;
  return {
    metadata: { name },
    spec: {
      failurePolicy: "Fail",
      matchConstraints: {
        resourceRules: [
          {
            apiGroups: [""],
            apiVersions: ["v1"],
            operations: ["CREATE"],
            resources: ["persistentvolumeclaims"],
          },
        ],
      },
      matchConditions: [
        {
          name: "own-storage-classes",
          expression: `has(object.spec.storageClassName) && object.spec.storageClassName in ${celList(Object.keys(accessModes))}`,
        },
      ],
      validations: [
        {
          expression: `object.spec.accessModes.all(mode, mode in ${byClass})`,
          messageExpression: `'a volume of class ' + object.spec.storageClassName + ' holds a file system that only one node may mount; use accessModes ' + ${byClass}.join(' or ')`,
          message: "a volume of this class holds a file system that only one node may mount",
          reason: "Invalid",
        },
        {
          expression: "!has(object.spec.volumeMode) || object.spec.volumeMode == 'Filesystem'",
          message: "this class has no raw block volumes: volumeMode must be Filesystem",
          reason: "Invalid",
        },
      ],
    },
  };
}

/** Puts the policy of that name into force everywhere. */
export function claimPolicyBinding(
  name: string,
): k8s.types.input.admissionregistration.v1.ValidatingAdmissionPolicyBinding {
  return { metadata: { name }, spec: { policyName: name, validationActions: ["Deny"] } };
}

// Kubernetes names hold neither quotes nor backslashes.
function celList(values: readonly string[]): string {
  return `[${values.map((value) => `'${value}'`).join(", ")}]`;
}
