/** How an installation was started: this decides the new image's kernel arguments. */
export type InstallVia = "apply" | "legacy" | "lifecycle";

export interface InstallRecord {
  at: string;
  via: InstallVia;
  image: string;
  version: string;
  schematic?: string;
  exitCode: number;
}

/** One boot of a machine. */
export interface BootRecord {
  at: string;
  /** Empty for an image that didn't come up. */
  bootId: string;
  version: string;
  schematic?: string;
  /** Absent when booted from the medium. */
  slot?: string;
  outcome: "booted" | "failed";
}

/** An accepted configuration, by digest: the text contains secrets. */
export interface AppliedConfig {
  at: string;
  mode: string;
  sha256: string;
}
