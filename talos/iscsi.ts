import type { Schematic } from "./schematic.ts";
import { extensionName, iscsiServices } from "./extensions.ts";
import { contractAtLeast, contractOf } from "./version.ts";

/** What makes a node able to use iSCSI storage, and how one sees that it is. */

/** Where iscsi-tools puts the program that CSI drivers call; missing in a broken release (siderolabs/talos#12951). */
const iscsiadmPath = "/usr/local/sbin/iscsiadm";

/** Minor release of the newest contract that the Talos provider can generate: it is built with the machinery of v1.13 (pulumi-talos 0.8.1). */
const newestProviderMinor = 13;

/** Minor release of the newest contract that a configuration can be generated for, by the provider or from talos/skeletons.json. */
export const newestGeneratedMinor = 14;

/**
 * The contract a new cluster starts with where its settings name none: that of its release, or the newest of the provider. It must not become a newer
 * one: a cluster without a contract in its settings would get another one with a new version of this program.
 */
export function newestUsableContract(talosVersion: string): string {
  const own = contractOf(talosVersion);
  return contractAtLeast(own, newestProviderMinor + 1) ? `v1.${newestProviderMinor}` : own;
}

/** Is a configuration of this contract generated here, because the Talos provider cannot? */
export function isGeneratedHere(contract: string): boolean {
  return contractAtLeast(contract, newestProviderMinor + 1);
}

/** What has to be on a node, and to run there, for its schematic to count as installed. */
export interface IscsiRequirements {
  /** Extensions by their own names, as a node lists them: `iscsi-tools`. */
  extensions: string[];
  /** Services that have to run. */
  services: string[];
  /** Files that have to exist. */
  files: string[];
}

/** What has to be there on a node that runs this schematic. @param iscsi whether the node reaches iSCSI storage at all; default: true */
export function iscsiRequirements(
  schematic: Schematic,
  talosVersion: string,
  iscsi = true,
): IscsiRequirements {
  const extensions = (schematic.customization?.systemExtensions?.officialExtensions ?? []).map(extensionName);
  if (!iscsi)
    return { extensions: extensions.filter((name) => name !== "iscsi-tools"), services: [], files: [] };
  return { extensions, services: [...iscsiServices(talosVersion)], files: [iscsiadmPath] };
}

/**
 * Label of the nodes that are not to reach iSCSI storage; drivers stay off them. Not in a domain of Kubernetes, so that NodeRestriction lets a
 * worker give it to itself.
 */
export const withoutIscsiLabel = { key: "talos-iscsi/iscsi", value: "false" } as const;
