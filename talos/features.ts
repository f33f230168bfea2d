/**
 * What a Talos release, or a configuration of a contract, does in a way of its own. Ask here instead of comparing versions.
 */
import { contractAtLeast, parseVersion, versionAtLeast } from "./version.ts";

/** Which upgrade API a server of this release offers (siderolabs/talos v1.13 lifecycle.proto; first in v1.13.0-beta.0). */
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
 * Must the upgrade request say `preserve`? Only before 1.8, where the default wiped a node's data. From 1.8 on data
 * always stays, and servers from 1.12.9 and 1.13.4 on take the flag as leave to skip their etcd check.
 */
export function needsPreserve(version: string): boolean {
  return !versionAtLeast(version, 8);
}

/** Does the factory offer `<platform>-installer` for this release? Before 1.10 there is only `installer`. */
export function hasPlatformInstaller(version: string): boolean {
  return versionAtLeast(version, 10);
}

/** Does Talos derive the iSCSI initiator's name from the machine ID? Before 1.10 the extension makes one up. */
export function derivesInitiatorName(version: string): boolean {
  return versionAtLeast(version, 10);
}

/** Does a node of this release report its schematic among its extensions? Before 1.7 the schematic cannot be read back. */
export function hasSchematicExtension(version: string): boolean {
  return versionAtLeast(version, 7);
}

/**
 * Does a configuration generated for this contract put the CRI and its pods in a process and mount namespace of their
 * own (`SecurityProfileConfig.workloadIsolation`)? A pod cannot find iscsid by its process then.
 */
export function hasWorkloadIsolation(contract: string): boolean {
  return contractAtLeast(contract, 14);
}

/**
 * Does a control plane of this release keep an inventory of the manifests that it applies to Kubernetes?
 * (siderolabs/talos pkg/machinery/compatibility, SupportsSSAManifestSync)
 */
export function hasManifestInventory(version: string): boolean {
  return versionAtLeast(version, 13);
}

/** Where kernel arguments have to be written for a node to boot with them. */
export interface KernelArguments {
  /** `install`: `machine.install.extraKernelArgs`. `schematic`: `customization.extraKernelArgs` of the image. */
  readonly place: "install" | "schematic";
  /** For people: why the other place is not honoured. */
  readonly reason: string;
}

/**
 * Which place is honoured. `contract` decides whether `install.extraKernelArgs` is accepted at all: a contract from
 * 1.12 on has `grubUseUKICmdline`, which refuses it. `version`, the release that runs, decides whether it takes effect:
 * systemd-boot (new UEFI installs from 1.10 on) ignores it, and the upgrade API of 1.13 does not pass it on. Left out,
 * the contract's own line is taken for the legacy boot path.
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

/** Which form the machine configuration has for the parts this program patches. */
export interface ConfigurationForms {
  /** PodSecurity exemptions: `cluster.apiServer.admissionControl`, or a KubeAdmissionControlConfig document. */
  readonly admission: "v1alpha1" | "KubeAdmissionControlConfig";
  /** Kernel modules: `machine.kernel.modules`, or a KernelModuleConfig document each. */
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

/** The forms of a contract. Mixing the old and the new one is refused by Talos for admission, install and hostname. */
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
