/** An installer run in the node's current boot, from the node's own logs. */
export interface LoggedInstall {
  /** The installer image as the node names it, with its digest. */
  image: string;
  state: "running" | "completed" | "failed";
}

/** Installations in the current boot, from the logs. */
export interface InstallHistory {
  /** The latest one; undefined if none is logged. */
  last: LoggedInstall | undefined;
  /** Every image whose installation completed in this boot, in order. */
  completed: string[];
  /** False if the start of the boot is no longer in the kernel's buffer: its contents are then unknown. */
  complete: boolean;
}

// Up to Talos 1.13 in the kernel's log, `starting upgrade: installer_image=…@sha256:…, disk=…` and `upgrade completed successfully: exit_code=0`; since 1.14 in
// machined's, in zap's console format (siderolabs/talos v1.14 internal/app/lifecycle/lifecycle.go).
const beginPattern = /starting upgrade\b.*?installer_image["']?[=:]\s*"?([^\s",}]+)/;
const endPattern = /upgrade completed\b.*?exit_code["']?[=:]\s*0\b/;
const failurePattern = /upgrade failed\b/;

/** Parses the logs of the kernel and machined, both of one boot. */
export function parseInstallHistory(kernel: string, machined: string): InstallHistory {
  const completed: string[] = [];
  let last: LoggedInstall | undefined;
  for (const line of [...kernel.split("\n"), ...machined.split("\n")]) {
    const image = beginPattern.exec(line)?.[1];
    if (image !== undefined) last = { image, state: "running" };
    else if (last?.state === "running" && endPattern.test(line)) {
      last = { ...last, state: "completed" };
      completed.push(last.image);
    } else if (last?.state === "running" && failurePattern.test(line)) last = { ...last, state: "failed" };
  }
  return { last, completed, complete: /\bLinux version \d/.test(kernel) };
}

/** Whether it is this image. A tagged name matches with and without the digest that the node adds to it. */
export function isSameImage(logged: string, image: string): boolean {
  return logged === image || logged.startsWith(`${image}@`);
}
