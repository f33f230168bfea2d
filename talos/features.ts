/** Behavior that differs between Talos releases or contracts. Ask here instead of comparing versions. */
import { contractAtLeast, parseVersion, versionAtLeast } from "./version.ts";

/** The upgrade API of a server of this release (siderolabs/talos v1.13 lifecycle.proto; first in v1.13.0-beta.0). */
export function upgradeApiOf(version: string): "machine" | "lifecycle" {
  const parsed = parseVersion(version);
  if (
    parsed.major === 1 &&
    parsed.minor === 13 &&
    parsed.patch === 0 &&
    parsed.prerelease?.startsWith("alpha")
  ) {
    return "machine";
  }
  return versionAtLeast(version, 13) ? "lifecycle" : "machine";
}

/**
 * Whether the upgrade request needs `preserve`. Only before 1.8, where the default wiped a node's data. Since 1.8 data always stays, and since 1.12.9 and
 * 1.13.4 servers treat the flag as permission to skip their etcd check.
 */
export function needsPreserve(version: string): boolean {
  return !versionAtLeast(version, 8);
}

/** Whether the factory offers `<platform>-installer` for this release. Before 1.10 there is only `installer`. */
export function hasPlatformInstaller(version: string): boolean {
  return versionAtLeast(version, 10);
}

/** Whether Talos derives the iSCSI initiator's name from the machine ID. Before 1.10 the extension generates one. */
export function derivesInitiatorName(version: string): boolean {
  return versionAtLeast(version, 10);
}

/** Whether a node of this release reports its schematic among its extensions. Before 1.7 the schematic can't be read back. */
export function hasSchematicExtension(version: string): boolean {
  return versionAtLeast(version, 7);
}

/**
 * Whether a configuration generated for this contract isolates the CRI and its pods in their own process and mount namespaces
 * (`SecurityProfileConfig.workloadIsolation`). A pod then can't find iscsid by its process.
 */
export function hasWorkloadIsolation(contract: string): boolean {
  return contractAtLeast(contract, 14);
}

/**
 * Whether a control plane of this release keeps an inventory of the manifests it applies to Kubernetes (siderolabs/talos pkg/machinery/compatibility,
 * SupportsSSAManifestSync).
 */
export function hasManifestInventory(version: string): boolean {
  return versionAtLeast(version, 13);
}

/**
 * Whether workers with a configuration of this contract join with `nodeTaints`. Releases before 1.14 set them only afterwards, as the kubelet, which
 * NodeRestriction refuses together with every label in the same update (siderolabs/talos#13443, #8193; 0f55e1f05 since v1.14.0-beta.0).
 */
export function joinsWithTaints(contract: string): boolean {
  return contractAtLeast(contract, 14);
}

/** Whether a configuration of this release may have `machine.install.grubUseUKICmdline` (siderolabs/talos machinery v1.12.0, config/types/v1alpha1). */
export function hasGrubUseUkiCmdline(version: string): boolean {
  return versionAtLeast(version, 12);
}

/** Where kernel arguments must be set for a node to boot with them. */
export interface KernelArguments {
  /** `install`: `machine.install.extraKernelArgs`. `schematic`: `customization.extraKernelArgs` of the image. */
  readonly place: "install" | "schematic";
  /** For the user: why the other place has no effect. */
  readonly reason: string;
}

/**
 * The place that takes effect. `contract` decides whether `install.extraKernelArgs` is accepted at all: contracts since 1.12 have `grubUseUKICmdline`, which
 * rejects it. `version`, the running release, decides whether it takes effect: systemd-boot (new UEFI installs since 1.10) ignores it, and the upgrade API of
 * 1.13 doesn't pass it on. Without a version, the contract's own line with legacy boot is assumed.
 */
export function kernelArgumentPlace(contract: string, version?: string): KernelArguments {
  if (contractAtLeast(contract, 12)) {
    return {
      place: "schematic",
      reason: `contract ${contract} sets install.grubUseUKICmdline, which cannot be combined with install.extraKernelArgs`,
    };
  }
  if (version !== undefined && versionAtLeast(version, 13)) {
    return {
      place: "schematic",
      reason: `${version} upgrades through LifecycleService, which does not pass install.extraKernelArgs to the installer`,
    };
  }
  if (version !== undefined && versionAtLeast(version, 10)) {
    return {
      place: "schematic",
      reason: `systemd-boot, the default of ${version}, ignores install.extraKernelArgs`,
    };
  }
  return { place: "install", reason: "the installer writes install.extraKernelArgs into the boot entry" };
}

/** The configuration form of each part that this program patches. */
export interface ConfigurationForms {
  /** PodSecurity exemptions: `cluster.apiServer.admissionControl`, or a KubeAdmissionControlConfig document. */
  readonly admission: "v1alpha1" | "KubeAdmissionControlConfig";
  /** Kernel modules: `machine.kernel.modules`, or one KernelModuleConfig document each. */
  readonly modules: "v1alpha1" | "KernelModuleConfig";
  /** Installer image and disk: `machine.install`, or an UnattendedInstallConfig document. */
  readonly install: "v1alpha1" | "UnattendedInstallConfig";
  /** Hostname: `machine.network.hostname`, or a HostnameConfig document. */
  readonly hostname: "v1alpha1" | "HostnameConfig";
  /** Pod and service subnets: `cluster.network`, or a KubeNetworkConfig document. */
  readonly network: "v1alpha1" | "KubeNetworkConfig";
  /** Labels and taints of the Kubernetes node: `machine.nodeLabels` and `machine.nodeTaints`, or a KubeNodeConfig document. */
  readonly node: "v1alpha1" | "KubeNodeConfig";
}

/** The forms of a contract. Talos rejects a mix of the old and the new one for admission, install and hostname. */
export function configurationForms(contract: string): ConfigurationForms {
  const documents = contractAtLeast(contract, 14);
  return {
    admission: documents ? "KubeAdmissionControlConfig" : "v1alpha1",
    modules: documents ? "KernelModuleConfig" : "v1alpha1",
    install: documents ? "UnattendedInstallConfig" : "v1alpha1",
    node: documents ? "KubeNodeConfig" : "v1alpha1",
    network: documents ? "KubeNetworkConfig" : "v1alpha1",
    hostname: contractAtLeast(contract, 12) ? "HostnameConfig" : "v1alpha1",
  };
}
