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
