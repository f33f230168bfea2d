/** What an installer did in the present boot of a node, as the node's own logs tell. */
export interface LoggedInstall {
  /** The installer image as the node names it, with its digest. */
  image: string;
  state: "running" | "completed" | "failed";
}

/** What the logs of the present boot tell of installations. */
export interface InstallHistory {
  /** The latest one; undefined if none is told of. */
  last: LoggedInstall | undefined;
  /** Every image that was installed to the end in this boot, in order. */
  completed: string[];
  /** False where the beginning of the boot is no longer in the kernel's buffer: what it told is unknown then. */
  complete: boolean;
}

// Up to Talos 1.13 in the kernel's log, `starting upgrade: installer_image=…@sha256:…, disk=…` and `upgrade completed successfully:
// exit_code=0`; from 1.14 on in machined's, in zap's console form (siderolabs/talos v1.14 internal/app/lifecycle/lifecycle.go).
const beginPattern = /starting upgrade\b.*?installer_image["']?[=:]\s*"?([^\s",}]+)/;
const endPattern = /upgrade completed\b.*?exit_code["']?[=:]\s*0\b/;
const failurePattern = /upgrade failed\b/;

/** Reads the kernel's log and machined's, both of one boot. */
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

/** Is it this image? A name with a tag is the same with and without the digest that the node adds to it. */
export function isSameImage(logged: string, image: string): boolean {
  return logged === image || logged.startsWith(`${image}@`);
}
