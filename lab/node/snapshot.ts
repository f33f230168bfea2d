import type { Stage, UnmetCondition } from "./boot.ts";
import type { ActiveFault } from "./faults.ts";
import type { ImageExtension } from "./images.ts";
import type { InstallRecord } from "./installer.ts";

/** One start of a machine. */
export interface BootRecord {
  at: string;
  /** Empty for an image that did not come up. */
  bootId: string;
  version: string;
  schematic?: string;
  /** Absent when booted from the medium. */
  slot?: string;
  outcome: "booted" | "failed";
}

/** A configuration that was taken over, by its digest: the text holds secrets. */
export interface AppliedConfig {
  at: string;
  mode: string;
  sha256: string;
}

/** A simulated node as it is now, and what it has been through. */
export interface NodeSnapshot {
  name: string;
  address: string;
  role: "controlplane" | "worker";
  configured: boolean;
  powered: boolean;
  stage: Stage | "off";
  ready: boolean;
  unmet: UnmetCondition[];
  bootId: string;
  version: string;
  /** Installer reference of the running image. */
  image: string;
  /** Absent for an image that names none, such as those of Talos's own releases. */
  schematic?: string;
  extensions: ImageExtension[];
  services: { id: string; state: string; healthy: boolean | null }[];
  initiatorName?: string;
  kernelArgs: string[];
  /** Installations that an upgrade call has finished, whether or not the node has rebooted since. */
  upgrades: number;
  reboots: number;
  boots: BootRecord[];
  installs: InstallRecord[];
  appliedConfigs: AppliedConfig[];
  dataWipes: number;
  faults: ActiveFault[];
}
