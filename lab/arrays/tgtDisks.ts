import { execFileSync } from "node:child_process";
import { Disks, type ExportedTarget } from "./disks.ts";

/**
 * Disks that any initiator can log in to: their targets are served by tgtd, a user-space iSCSI target (package `tgt` in Debian and Ubuntu). The
 * daemon must be running. Its LUN 0 is always a controller, so only arrays that count LUNs from 1 can use it, as DSM does.
 */
export class TgtDisks extends Disks {
  readonly #run: (args: string[]) => void;
  /** tgtd's own target numbers, by IQN. */
  readonly #numbers = new Map<string, number>();

  constructor(folder: string, run = tgtadm) {
    super(folder);
    this.#run = run;
  }

  override export({ iqn, lun, disk }: ExportedTarget): void {
    const number = this.#numbers.get(iqn) ?? Math.max(0, ...this.#numbers.values()) + 1;
    const target = ["--tid", String(number)];
    if (!this.#numbers.has(iqn)) {
      this.#run(["--mode", "target", "--op", "new", ...target, "--targetname", iqn]);
      this.#numbers.set(iqn, number);
      this.#run(["--mode", "target", "--op", "bind", ...target, "--initiator-address", "ALL"]);
    }
    const unit = ["--lun", String(lun), "--backing-store", this.file(disk)];
    this.#run(["--mode", "logicalunit", "--op", "new", ...target, ...unit]);
  }

  override withdraw(iqn: string): void {
    const number = this.#numbers.get(iqn);
    if (number === undefined) return;
    // `--force`: deleting a target on an array ends its sessions.
    this.#run(["--mode", "target", "--op", "delete", "--force", "--tid", String(number)]);
    this.#numbers.delete(iqn);
  }
}

function tgtadm(args: string[]): void {
  execFileSync("tgtadm", ["--lld", "iscsi", ...args], { stdio: ["ignore", "ignore", "pipe"] });
}
