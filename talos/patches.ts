/**
 * The patches that this program adds to machine configurations, in the contract's form: YAML text for `talosctl machineconfig patch` and the provider's
 * `configPatches`. Lists in a patch are appended to existing ones (siderolabs/talos pkg/machinery/config/merge), so a patch contains only what is new, and is
 * applied once.
 */
import { coded } from "./errorCodes.ts";
import { stringify } from "yaml";
import { configurationForms, kernelArgumentPlace, type ConfigurationForms } from "./features.ts";

/** Arguments that don't result in a valid configuration. */
export class PatchError extends Error {
  override readonly name = "PatchError";

  constructor(problem: string) {
    super(coded("patch", problem));
  }
}

/** The forms in which a patch is written. */
interface Shape {
  /** The contract of the configuration, `v1.12`. */
  readonly contract: string;
  /** The configuration's forms. Default: those that the contract generates. */
  readonly forms?: ConfigurationForms | undefined;
}

function formsOf({ contract, forms }: Shape): ConfigurationForms {
  return forms ?? configurationForms(contract);
}

/** The only namespace that Talos exempts by default. If it is listed twice, kube-apiserver doesn't start (siderolabs/talos#14397). */
export const EXEMPT_BY_TALOS = "kube-system";

/** Exempts namespaces from PodSecurity admission. Only for control planes: workers have no such section. Undefined if there is nothing left to exempt. */
export function securityPatch({
  namespaces,
  ...shape
}: {
  readonly namespaces: readonly string[];
} & Shape): string | undefined {
  const wanted = distinct(namespaces).filter((name) => name !== EXEMPT_BY_TALOS);
  const bad = wanted.filter((name) => !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name));
  if (bad.length > 0)
    throw new PatchError(`not a valid namespace name: ${bad.map((name) => `"${name}"`).join(", ")}`);
  if (wanted.length === 0) return undefined;

  const configuration = { exemptions: { namespaces: wanted } };
  if (formsOf(shape).admission === "KubeAdmissionControlConfig") {
    return yamlDocuments({
      apiVersion: "v1alpha1",
      kind: "KubeAdmissionControlConfig",
      name: "PodSecurity",
      configuration,
    });
  }
  return yamlDocuments({
    cluster: { apiServer: { admissionControl: [{ name: "PodSecurity", configuration }] } },
  });
}

/** A kernel module by name, or with parameters, `{ name: "nvme_core", parameters: ["multipath=N"] }`. */
export type KernelModule = string | { readonly name: string; readonly parameters?: readonly string[] };

// JovianDSS's own instructions for Talos 1.6 always load iscsi_tcp with this argument. Talos has the module built in, so neither has any effect there
// (siderolabs/pkgs CONFIG_ISCSI_TCP=y).
const ARGUMENTS_OF_MODULES: Readonly<Record<string, readonly string[]>> = { iscsi_tcp: ["iscsi_tcp=1"] };

/**
 * Loads kernel modules at boot, for both roles. Kernel arguments are set where Talos honors `install.extraKernelArgs`. Otherwise those of the modules are left
 * out, and explicit arguments are an error, because they belong in the schematic. Undefined if there is nothing to patch.
 */
export function modulePatch({
  modules,
  contract,
  forms,
  talosVersion,
  kernelArgs,
}: {
  readonly modules: readonly KernelModule[];
  /** The running release, if known: since 1.10, kernel arguments belong in the schematic. */
  readonly talosVersion?: string | undefined;
  /** Kernel arguments. Default: those that belong to the modules (`iscsi_tcp=1` for `iscsi_tcp`). */
  readonly kernelArgs?: readonly string[] | undefined;
} & Shape): string | undefined {
  const { place, reason } = kernelArgumentPlace(contract, talosVersion);
  if (kernelArgs !== undefined && kernelArgs.length > 0 && place === "schematic") {
    throw new PatchError(
      `kernel arguments ${kernelArgs.join(" ")} would not take effect: ${reason}. ` +
        "Put them in the schematic (customization.extraKernelArgs).",
    );
  }
  const wanted = distinctModules(modules);
  const extraKernelArgs =
    place === "install"
      ? distinct(kernelArgs ?? wanted.flatMap(({ name }) => ARGUMENTS_OF_MODULES[name] ?? []))
      : [];

  if (formsOf({ contract, forms }).modules === "KernelModuleConfig") {
    return yamlDocuments(
      ...wanted.map((module) => ({ apiVersion: "v1alpha1", kind: "KernelModuleConfig", ...module })),
    );
  }
  if (wanted.length === 0 && extraKernelArgs.length === 0) return undefined;
  return yamlDocuments({
    machine: {
      ...(extraKernelArgs.length === 0 ? {} : { install: { extraKernelArgs } }),
      ...(wanted.length === 0 ? {} : { kernel: { modules: wanted } }),
    },
  });
}

/** Where to install: a device, or a disk selector in the contract's form. */
export type InstallDisk =
  | { readonly disk?: string | undefined; readonly diskSelector?: undefined; readonly diskMatch?: undefined }
  | {
      readonly disk?: undefined;
      /** `machine.install.diskSelector` for contracts up to v1.13, `{ size: ">= 100GB" }`. */
      readonly diskSelector: Readonly<Record<string, unknown>>;
      readonly diskMatch?: undefined;
    }
  | {
      readonly disk?: undefined;
      readonly diskSelector?: undefined;
      /** An expression, for contract v1.14 or newer, `disk.transport == "nvme"`. */
      readonly diskMatch: string;
    };

/** A disk by its path or, below /dev/disk, by one of udev's links, which a disk's path never is. */
function deviceExpression(device: string): string {
  const quoted = JSON.stringify(device);
  return device.startsWith("/dev/disk/") ? `${quoted} in disk.symlinks` : `disk.dev_path == ${quoted}`;
}

/** Sets the installer image and the install disk; undefined if neither is given. */
export function installImagePatch({
  image,
  contract,
  forms,
  disk,
  diskSelector,
  diskMatch,
  wipe,
}: {
  readonly image?: string | undefined;
  readonly wipe?: boolean | undefined;
} & Shape &
  InstallDisk): string | undefined {
  if (image === undefined && disk === undefined && diskSelector === undefined && diskMatch === undefined) {
    if (wipe === undefined) return undefined;
  }
  if (formsOf({ contract, forms }).install === "UnattendedInstallConfig") {
    if (diskSelector !== undefined) {
      throw new PatchError(
        `contract ${contract} does not support diskSelector with properties; use diskMatch with an expression`,
      );
    }
    const match = diskMatch ?? (disk === undefined ? undefined : deviceExpression(disk));
    const provisioning = {
      ...(match === undefined ? {} : { diskSelector: { match } }),
      ...(wipe === undefined ? {} : { wipe }),
    };
    return yamlDocuments({
      apiVersion: "v1alpha1",
      kind: "UnattendedInstallConfig",
      ...(image === undefined ? {} : { installer: { image } }),
      ...(Object.keys(provisioning).length === 0 ? {} : { provisioning }),
    });
  }
  if (diskMatch !== undefined) {
    throw new PatchError(
      `contract ${contract} does not support diskMatch with an expression; use diskSelector with properties`,
    );
  }
  return yamlDocuments({
    machine: {
      install: {
        ...(disk === undefined ? {} : { disk }),
        ...(diskSelector === undefined ? {} : { diskSelector }),
        ...(image === undefined ? {} : { image }),
        ...(wipe === undefined ? {} : { wipe }),
      },
    },
  });
}

/** Sets a static host name. Since v1.12, a HostnameConfig document has `auto: stable`, which conflicts with an explicit name, so the patch turns it off. */
export function hostnamePatch({
  name,
  ...shape
}: {
  readonly name: string;
} & Shape): string {
  if (
    name.length > 253 ||
    !/^[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?)*$/.test(
      name,
    )
  ) {
    throw new PatchError(`"${name}" is not a valid host name`);
  }
  return formsOf(shape).hostname === "HostnameConfig"
    ? yamlDocuments({ apiVersion: "v1alpha1", kind: "HostnameConfig", auto: "off", hostname: name })
    : yamlDocuments({ machine: { network: { hostname: name } } });
}

/** Sets the subnets of pods and services, replacing existing ones; undefined if neither is given. */
export function subnetPatch({
  podSubnets = [],
  serviceSubnets = [],
  ...shape
}: {
  readonly podSubnets?: readonly string[] | undefined;
  readonly serviceSubnets?: readonly string[] | undefined;
} & Shape): string | undefined {
  if (podSubnets.length === 0 && serviceSubnets.length === 0) return undefined;
  const subnets = {
    ...(podSubnets.length === 0 ? {} : { podSubnets: [...podSubnets] }),
    ...(serviceSubnets.length === 0 ? {} : { serviceSubnets: [...serviceSubnets] }),
  };
  return formsOf(shape).network === "KubeNetworkConfig"
    ? yamlDocuments({ apiVersion: "v1alpha1", kind: "KubeNetworkConfig", ...subnets })
    : yamlDocuments({ cluster: { network: subnets } });
}

function distinct(items: readonly string[]): string[] {
  return [...new Set(items)];
}

function distinctModules(modules: readonly KernelModule[]): { name: string; parameters?: string[] }[] {
  const byName = new Map<string, { name: string; parameters?: string[] }>();
  for (const module of modules) {
    const { name, parameters = [] } = typeof module === "string" ? { name: module } : module;
    if (!/^[\w-]+$/.test(name)) throw new PatchError(`"${name}" is not a valid kernel module name`);
    const all = distinct([...(byName.get(name)?.parameters ?? []), ...parameters]);
    byName.set(name, { name, ...(all.length === 0 ? {} : { parameters: all }) });
  }
  return [...byName.values()];
}

function yamlDocuments(part: object): string;
function yamlDocuments(...parts: object[]): string | undefined;
function yamlDocuments(...parts: object[]): string | undefined {
  return parts.length === 0
    ? undefined
    : parts.map((part) => stringify(part, { lineWidth: 0 })).join("---\n");
}
