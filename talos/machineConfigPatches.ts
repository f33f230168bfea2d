import { parseConfig } from "./configTree.ts";
import { formsOfFile } from "./fileForms.ts";
import { networkPatch, type NetworkInterface, type VirtualIp } from "./networkPatch.ts";
import {
  hostnamePatch,
  installImagePatch,
  modulePatch,
  securityPatch,
  subnetPatch,
  type InstallDisk,
} from "./patches.ts";
import { nodePatch } from "./nodePatch.ts";
import { podSecurityPlugins } from "./podSecurity.ts";

/** A disk by its properties (Talos's `machine.install.diskSelector`), or only by an expression. */
export interface DiskSelector {
  readonly size?: string | undefined;
  readonly name?: string | undefined;
  readonly model?: string | undefined;
  readonly serial?: string | undefined;
  readonly modalias?: string | undefined;
  readonly uuid?: string | undefined;
  readonly wwid?: string | undefined;
  readonly type?: string | undefined;
  readonly busPath?: string | undefined;
  /** Contracts since v1.14: `disk.transport == "nvme"`. */
  readonly match?: string | undefined;
}

/** Everything that is patched into the generated machine configuration of one node. */
export interface MachineConfigPatchSpec {
  /** The contract the configuration is generated for, `v1.12`. */
  contract: string;
  /** The node's desired release, `v1.13.9`: since 1.10, kernel arguments belong in the schematic. */
  talosVersion: string;
  role: "controlplane" | "worker";
  /** Host name to set. Absent: the configuration's own. */
  hostname?: string | undefined;
  /** Installer image, so that a reinstalled machine comes back the same. */
  installerImage: string;
  /** Disk to install to. Absent: Talos's default. */
  installDisk?: string | undefined;
  /** Disk to install to, by its properties or, since contract v1.14, an expression (`match`). */
  diskSelector?: DiskSelector | undefined;
  /** Links and name servers. Absent: DHCP on every link. */
  network?: { interfaces: readonly NetworkInterface[]; nameservers: readonly string[] } | undefined;
  /** The control planes' shared address; workers ignore it. */
  vip?: VirtualIp | undefined;
  /** Namespaces exempt from PodSecurity. */
  exemptNamespaces: string[];
  /** Kernel modules to load at boot. */
  kernelModules: string[];
  /** Labels of the Kubernetes node. Absent or empty: none. */
  labels?: Readonly<Record<string, string>> | undefined;
  /** Taints of the Kubernetes node in Talos's format, `present:NoSchedule`. Absent or empty: none. */
  taints?: Readonly<Record<string, string>> | undefined;
  podSubnets?: string[] | undefined;
  serviceSubnets?: string[] | undefined;
  /** The user's patches, in order; they come last and so take precedence. */
  user: string[];
}

/** The patches in the order they are applied, each once: a list in a patch appends, so a patch applied twice doubles its entries. */
export function machineConfigPatches(spec: MachineConfigPatchSpec): string[] {
  return [...ownPatches(spec), ...spec.user];
}

/**
 * This program's patches, without the user's.
 * @param base the configuration they are for, if it exists: they use its forms
 */
export function ownPatches(spec: MachineConfigPatchSpec, base?: string): string[] {
  const { contract, role, hostname, talosVersion } = spec;
  const documents = base === undefined ? undefined : parseConfig(base);
  const shape = { contract, ...(documents === undefined ? {} : { forms: formsOfFile(documents, contract) }) };
  // If the owner removed PodSecurity, kube-apiserver uses its defaults, and the namespaces' own labels suffice: exemptions alone are not a configuration it can
  // load.
  const admission = documents === undefined || podSecurityPlugins(documents).length > 0;
  const ours = [
    installImagePatch({ image: spec.installerImage, ...shape, ...installDisk(spec) }),
    hostname === undefined ? undefined : hostnamePatch({ name: hostname, ...shape }),
    networkPatch({ ...spec.network, contract, base, ...(role === "controlplane" ? { vip: spec.vip } : {}) }),
    subnetPatch({ ...spec, ...shape }),
    role === "controlplane" && admission
      ? securityPatch({ namespaces: spec.exemptNamespaces, ...shape })
      : undefined,
    nodePatch({ ...spec, ...shape, base: documents }),
    modulePatch({ modules: spec.kernelModules, ...shape, talosVersion }),
  ];
  return ours.filter((patch) => patch !== undefined);
}

function installDisk({ installDisk: disk, diskSelector }: MachineConfigPatchSpec): InstallDisk {
  if (disk !== undefined) return { disk };
  if (diskSelector === undefined) return {};
  const { match, ...properties } = diskSelector;
  if (match !== undefined) return { diskMatch: match };
  const given = Object.entries(properties).filter(([, value]) => value !== undefined);
  return { diskSelector: Object.fromEntries(given) };
}
