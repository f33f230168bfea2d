import { stringify } from "yaml";
import { hostnamePatch, installImagePatch, modulePatch, securityPatch } from "./patches.ts";
import { contractAtLeast } from "./version.ts";

/** Everything that is patched into the generated machine configuration of one node. */
export interface MachineConfigPatchSpec {
  /** The contract that the configuration is generated for, `v1.12`. */
  contract: string;
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
  const { contract, role, hostname, installDisk } = spec;
  const disk =
    installDisk === undefined
      ? {}
      : contractAtLeast(contract, 14)
        ? { diskMatch: diskExpression(installDisk) }
        : { disk: installDisk };
  const ours = [
    installImagePatch({ image: spec.installerImage, contract, ...disk }),
    hostname === undefined ? undefined : hostnamePatch({ name: hostname, contract }),
    subnetPatch(spec),
    role === "controlplane" ? securityPatch({ namespaces: spec.exemptNamespaces, contract }) : undefined,
    modulePatch({ modules: spec.kernelModules, contract }),
  ];
  return [...ours.filter((patch) => patch !== undefined), ...spec.user];
}

/** From contract v1.14 on a disk is matched by an expression instead of being named. */
function diskExpression(device: string): string {
  return `disk.dev_path == ${JSON.stringify(device)}`;
}

/** Subnets replace the generated ones: Talos merges these two lists by replacement (machinery config/merge). */
function subnetPatch({ podSubnets, serviceSubnets }: MachineConfigPatchSpec): string | undefined {
  if (podSubnets === undefined && serviceSubnets === undefined) return undefined;
  return stringify({
    cluster: { network: { ...(podSubnets && { podSubnets }), ...(serviceSubnets && { serviceSubnets }) } },
  });
}
