import type { Stage, UnmetCondition } from "./machine/boot.ts";
import type { ActiveFault } from "./machine/faults.ts";
import type { ImageExtension } from "./machine/images.ts";
import { initiatorName } from "./disk/files.ts";
import type { Machine } from "./machine/machine.ts";
import type { AppliedConfig, BootRecord, InstallRecord } from "./machine/records.ts";

/** A simulated node's current state and its history. */
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
  /** Installations finished through an upgrade call, whether or not the node has rebooted since. */
  upgrades: number;
  reboots: number;
  boots: BootRecord[];
  installs: InstallRecord[];
  appliedConfigs: AppliedConfig[];
  dataWipes: number;
  faults: ActiveFault[];
}

/** A node's current state, without any secret. */
export function snapshotOf(node: Machine): NodeSnapshot {
  const { boot, boots, installs } = node;
  const iqn = initiatorName(node);
  return {
    name: node.hostname,
    address: node.address,
    role: node.identity().role,
    configured: node.config !== undefined,
    powered: boot !== undefined,
    stage: boot?.stage ?? "off",
    ready: boot?.ready ?? false,
    unmet: boot?.unmet ?? [],
    bootId: boot?.id ?? "",
    version: node.version,
    image: boot?.image.reference ?? "",
    ...(boot?.image.schematic === undefined ? {} : { schematic: boot.image.schematic }),
    extensions: node.extensions(),
    services:
      boot?.services.list().map(({ id, state, healthy }) => ({ id, state, healthy: healthy ?? null })) ?? [],
    ...(iqn === undefined ? {} : { initiatorName: iqn }),
    kernelArgs: boot?.kernelArgs ?? [],
    upgrades: installs.filter(({ via, exitCode }) => via !== "apply" && exitCode === 0).length,
    reboots: Math.max(0, boots.filter(({ outcome }) => outcome === "booted").length - 1),
    boots: [...boots],
    installs: [...installs],
    appliedConfigs: [...node.appliedConfigs],
    dataWipes: node.dataWipes,
    faults: node.faults.active(),
  };
}
