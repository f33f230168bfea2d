import semver from "semver";
import type { Boot } from "../machine/boot.ts";

/**
 * What machined logs of an upgrade through LifecycleService. Up to Talos 1.13, start and end are in the kernel log;
 * from 1.14 on they are only in machined's own log, in another format and with other wording (siderolabs/talos v1.13.9 and
 * v1.14.0-rc.1, internal/app/lifecycle/lifecycle.go). They are written before the caller gets the message, even if the caller
 * is gone.
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

  /** zap's console format, with colored levels (siderolabs/talos pkg/logging/zap.go). */
  #note(level: "INFO" | "WARN", message: string, fields: Record<string, unknown>): void {
    const color = level === "INFO" ? 34 : 33;
    const all = JSON.stringify({ component: "machined", service: "lifecycle", ...fields });
    this.#boot.machinedLog.push(
      `${new Date().toISOString()} \u001b[${String(color)}m${level}\u001b[0m ${message} ${all}\n`,
    );
  }
}
