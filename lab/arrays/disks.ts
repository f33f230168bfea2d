import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Where a node finds the array's disks and targets. */
const arrayOnNode = "/lab/array";

/** A target of an array, as the node's iscsiadm reads it (tools/csi/driver/iscsiadm.go). */
export interface ExportedTarget {
  iqn: string;
  lun: number;
  /** The disk behind the LUN. */
  disk: string;
}

/** What an array stores: a sparse file per disk, and a file per target that initiators can log in to. */
export class Disks {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    for (const name of ["disks", "targets"]) mkdirSync(join(folder, name), { recursive: true });
  }

  create(name: string, bytes: number): void {
    writeFileSync(this.file(name), "", { flag: "wx" });
    truncateSync(this.file(name), bytes);
  }

  resize(name: string, bytes: number): void {
    truncateSync(this.file(name), bytes);
  }

  copy(from: string, to: string): void {
    // cp skips the holes, which make up nearly all of it.
    execFileSync("cp", ["--sparse=always", this.file(from), this.file(to)]);
  }

  size(name: string): number {
    return statSync(this.file(name)).size;
  }

  delete(name: string): void {
    rmSync(this.file(name), { force: true });
  }

  export({ iqn, lun, disk }: ExportedTarget): void {
    const file = `${arrayOnNode}/disks/${encodeURIComponent(disk)}.img`;
    writeFileSync(this.#target(iqn), JSON.stringify({ iqn, lun, file }));
  }

  withdraw(iqn: string): void {
    rmSync(this.#target(iqn), { force: true });
  }

  protected file(name: string): string {
    return join(this.#folder, "disks", `${encodeURIComponent(name)}.img`);
  }

  #target(iqn: string): string {
    return join(this.#folder, "targets", `${encodeURIComponent(iqn)}.json`);
  }
}
