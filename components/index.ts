/**
 * What the npm package `talos-iscsi` exports: the components, the parser of settings, and their types.
 */
export { parseSettings, SettingsError, type Problem, type Settings } from "../config.ts";
export { iscsiRequirements, type IscsiRequirements } from "../talos/iscsi.ts";
export { parseTalosconfig } from "../talos/secretsBundle.ts";
export { IscsiCsiDriver, type IscsiCsiDriverArgs } from "./csi/iscsiCsiDriver.ts";
export { healthPorts, type IscsiDriver } from "./csi/iscsiDriver.ts";
export { JovianDssCsi, type JovianDssCsiArgs } from "./csi/joviandss.ts";
export { SnapshotController, type SnapshotControllerArgs } from "./csi/snapshots.ts";
export { SynologyCsi, type SynologyCsiArgs } from "./csi/synology.ts";
export { FactoryImage, type FactoryImageArgs } from "./factoryImage.ts";
export { IscsiCluster, type IscsiClusterOutputs } from "./iscsiCluster.ts";
export { KubernetesUpgrade, type KubernetesUpgradeArgs } from "./kubernetesUpgrade.ts";
export { NodeUpgrade, type NodeUpgradeArgs } from "./nodeUpgrade.ts";
export { RollingUpgrade, type RollingUpgradeArgs } from "./rollingUpgrade.ts";
export { StorageProbe, type StorageProbeArgs } from "./storageProbe.ts";
export { TalosCluster, type TalosClusterArgs } from "./talosCluster.ts";
