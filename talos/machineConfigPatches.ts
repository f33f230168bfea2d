import { hostnamePatch, installImagePatch, modulePatch, securityPatch, subnetPatch } from "./patches.ts";

/** Everything that is patched into the generated machine configuration of one node. */
export interface MachineConfigPatchSpec {
  /** The contract that the configuration is generated for, `v1.12`. */
  contract: string;
  /** The release that the node is to run, `v1.13.9`: from 1.10 on kernel arguments belong into the schematic. */
  talosVersion: string;
  role: "controlplane" | "worker";
  /** Host name to set. Absent: the configuration's own. */
  hostname?: string | undefined;
  /** Installer image, so that a machine that is installed again comes back as it was. */
  installerImage: string;
  /** Disk to install to. Absent: what Talos generates. */
  installDisk?: string | undefined;
  /** Namespaces that PodSecurity leaves alone. */
  exemptNamespaces: string[];
  /** Kernel modules to load at boot. */
  kernelModules: string[];
  podSubnets?: string[] | undefined;
  serviceSubnets?: string[] | undefined;
  /** Patches of the user, in order; they come last, so that they have the last word. */
  user: string[];
}

/** The patches in the order they are applied, each once: a list in a patch appends, so a patch applied twice doubles its entries. */
export function machineConfigPatches(spec: MachineConfigPatchSpec): string[] {
  const { contract, role, hostname, installDisk, talosVersion } = spec;
  const ours = [
    installImagePatch({
      image: spec.installerImage,
      contract,
      ...(installDisk === undefined ? {} : { disk: installDisk }),
    }),
    hostname === undefined ? undefined : hostnamePatch({ name: hostname, contract }),
    subnetPatch(spec),
    role === "controlplane" ? securityPatch({ namespaces: spec.exemptNamespaces, contract }) : undefined,
    modulePatch({ modules: spec.kernelModules, contract, talosVersion }),
  ];
  return [...ours.filter((patch) => patch !== undefined), ...spec.user];
}
