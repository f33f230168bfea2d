import { randomBytes, randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeImage } from "./images.ts";

export type Slot = "A" | "B";

/** What an etcd member has on its disk, as far as versions go. */
export interface EtcdData {
  memberId: string;
  /** etcd's cluster version, `3.6`, as this member has learned it last: no older etcd starts on this data. */
  clusterVersion?: string;
  /** Where a downgrade that was enabled goes to. */
  downgradeTo?: string;
}

/** What survives a reboot: the node's disk. */
export interface Disk {
  /** Random, made at the first boot and gone with a reset. */
  nodeId: string;
  /** As in /etc/machine-id. */
  machineId: string;
  uuid: string;
  bootloader: "grub" | "sd-boot";
  slots: Partial<Record<Slot, NodeImage & { bootArgs: string[] }>>;
  /** The slot that the next boot takes. */
  active?: Slot;
  /** META key 0x06: where the boot loader returns to when the active slot does not come up. */
  fallback?: Slot;
  /** The machine configuration in STATE. */
  config?: string;
  /** META key for an upgrade that the next boot carries out. */
  stagedUpgrade?: NodeImage;
  /** Images in containerd, by every name they go by. */
  images: Record<string, NodeImage>;
  etcd?: EtcdData;
}

export function blankDisk(bootloader: Disk["bootloader"]): Disk {
  return {
    nodeId: randomBytes(32).toString("base64url"),
    machineId: randomBytes(16).toString("hex"),
    uuid: randomUUID(),
    bootloader,
    slots: {},
    images: {},
  };
}

/** Keeps a disk in a directory, so that a node that was stopped can come back. Without a directory it is in memory. */
export class DiskStore {
  readonly #file: string | undefined;

  constructor(directory: string | undefined) {
    if (directory !== undefined) {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      this.#file = join(directory, "disk.json");
    }
  }

  load(): Disk | undefined {
    if (this.#file === undefined) return undefined;
    try {
      return JSON.parse(readFileSync(this.#file, "utf8")) as Disk;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** The file is replaced in one step: a machine configuration holds the cluster's secrets and must not be lost by half. */
  save(disk: Disk): void {
    if (this.#file === undefined) return;
    writeFileSync(`${this.#file}.new`, JSON.stringify(disk), { mode: 0o600 });
    renameSync(`${this.#file}.new`, this.#file);
  }
}
