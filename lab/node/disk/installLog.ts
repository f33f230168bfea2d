import semver from "semver";
import type { Boot } from "../machine/boot.ts";

/**
 * What machined notes of an upgrade through LifecycleService. Up to Talos 1.13 beginning and end are in the kernel's log;
 * from 1.14 on they are in machined's own log alone, in another form and with another wording (siderolabs/talos v1.13.9 and
 * v1.14.0-rc.1, internal/app/lifecycle/lifecycle.go). They are written before the caller is told, and whether or not it
 * is still there.
 */
export class InstallLog {
  readonly #boot: Boot;
  readonly #structured: boolean;

  constructor(boot: Boot) {
    this.#boot = boot;
    this.#structured = semver.gte(boot.image.version, "1.14.0-0");
  }

  begin(installerImage: string): void {
    if (this.#structured)
      this.#note("INFO", "starting upgrade", { installer_image: installerImage, disk: "/dev/sda" });
    else this.#boot.kernelLog.talos(`starting upgrade: installer_image=${installerImage}, disk=/dev/sda`);
  }

  progress(message: string): void {
    this.#note("INFO", "upgrade progress", { message });
  }

  end(exitCode: number): void {
    const well = exitCode === 0;
    if (this.#structured)
      this.#note(well ? "INFO" : "WARN", well ? "upgrade completed" : "upgrade failed", {
        exit_code: exitCode,
      });
    else
      this.#boot.kernelLog.talos(
        well
          ? `upgrade completed successfully: exit_code=${String(exitCode)}`
          : `upgrade failed: exit_code=${String(exitCode)}`,
      );
  }

  /** The console form of zap, with colored levels (siderolabs/talos pkg/logging/zap.go). */
  #note(level: "INFO" | "WARN", message: string, fields: Record<string, unknown>): void {
    const color = level === "INFO" ? 34 : 33;
    const all = JSON.stringify({ component: "machined", service: "lifecycle", ...fields });
    this.#boot.machinedLog.push(
      `${new Date().toISOString()} \u001b[${String(color)}m${level}\u001b[0m ${message} ${all}\n`,
    );
  }
}
