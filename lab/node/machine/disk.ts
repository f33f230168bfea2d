import { randomBytes, randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeImage } from "./images.ts";

export type Slot = "A" | "B";

/** The version data that an etcd member keeps on its disk. */
export interface EtcdData {
  memberId: string;
  /** etcd's cluster version, `3.6`, as last seen by this member: no older etcd starts on this data. */
  clusterVersion?: string;
  /** Target of an enabled downgrade. */
  downgradeTo?: string;
}

/** What survives a reboot: the node's disk. */
export interface Disk {
  /** Random; created at the first boot and deleted by a reset. */
  nodeId: string;
  /** As in /etc/machine-id. */
  machineId: string;
  uuid: string;
  bootloader: "grub" | "sd-boot";
  slots: Partial<Record<Slot, NodeImage & { bootArgs: string[] }>>;
  /** The slot that boots next. */
  active?: Slot;
  /** META key 0x06: the slot that the boot loader falls back to if the active one doesn't come up. */
  fallback?: Slot;
  /** The machine configuration in STATE. */
  config?: string;
  /** META key for a staged upgrade, which the next boot carries out. */
  stagedUpgrade?: NodeImage;
  /** Images in containerd, by each of their names. */
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

/** Stores a disk in a directory, so that a stopped node can come back. Without a directory, the disk is in memory only. */
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

  /** Replaces the file atomically: a machine configuration holds the cluster's secrets and must never be half written. */
  save(disk: Disk): void {
    if (this.#file === undefined) return;
    writeFileSync(`${this.#file}.new`, JSON.stringify(disk), { mode: 0o600 });
    renameSync(`${this.#file}.new`, this.#file);
  }
}
