/** How an installation came about: it decides which kernel arguments the new image boots with. */
export type InstallVia = "apply" | "legacy" | "lifecycle";

export interface InstallRecord {
  at: string;
  via: InstallVia;
  image: string;
  version: string;
  schematic?: string;
  exitCode: number;
}

/** One start of a machine. */
export interface BootRecord {
  at: string;
  /** Empty for an image that did not come up. */
  bootId: string;
  version: string;
  schematic?: string;
  /** Absent when booted from the medium. */
  slot?: string;
  outcome: "booted" | "failed";
}

/** An accepted configuration, by its digest: the text holds secrets. */
export interface AppliedConfig {
  at: string;
  mode: string;
  sha256: string;
}
