import type { Schematic } from "./schematic.ts";
import { extensionName, iscsiServices } from "./extensions.ts";
import { contractAtLeast, contractOf } from "./version.ts";

/** What makes a node able to use iSCSI storage, and how to verify it. */

/** The program that CSI drivers call, installed by iscsi-tools; missing in a broken release (siderolabs/talos#12951). */
const iscsiadmPath = "/usr/local/sbin/iscsiadm";

/** Minor release of the newest contract that the Talos provider can generate: it is built with the machinery of v1.13 (pulumi-talos 0.8.1). */
const newestProviderMinor = 13;

/** Minor release of the newest contract that a configuration can be generated for, by the provider or from talos/skeletons.json. */
export const newestGeneratedMinor = 14;

/**
 * A new cluster's contract if its settings name none: that of its release, or the provider's newest. This must never return a newer one: a cluster without a
 * contract in its settings would change contracts with a new version of this program.
 */
export function newestUsableContract(talosVersion: string): string {
  const own = contractOf(talosVersion);
  return contractAtLeast(own, newestProviderMinor + 1) ? `v1.${newestProviderMinor}` : own;
}

/** Whether a configuration of this contract is generated here because the Talos provider can't. */
export function isGeneratedHere(contract: string): boolean {
  return contractAtLeast(contract, newestProviderMinor + 1);
}

/** What a node must have and run for its schematic to count as installed. */
export interface IscsiRequirements {
  /** Extensions by their own names, as listed by a node: `iscsi-tools`. */
  extensions: string[];
  /** Services that must run. */
  services: string[];
  /** Files that must exist. */
  files: string[];
}

/** The requirements of a node with this schematic. @param iscsi whether the node uses iSCSI storage at all; default: true */
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

/** Label of nodes that don't use iSCSI storage; drivers avoid them. Outside of Kubernetes' domains, so that NodeRestriction lets a worker set it on itself. */
export const withoutIscsiLabel = { key: "talos-iscsi/iscsi", value: "false" } as const;
