import { z } from "zod";
import { must } from "./words.ts";

/** How nodes that are several minor releases behind get to theirs. */

/** `upgrade.through` */
export const through = z
  .enum(["refuse", "automatic"], must("refuse or automatic"))
  .default("refuse")
  .describe(
    "What happens to nodes that are more than one Talos minor release behind: refuse them, or go through every minor release on the way, one complete rollout each (automatic).",
  );

/** `upgrade.releases` */
export function releasesOf<Version extends z.ZodType>(talosVersion: Version) {
  return z
    .array(talosVersion, must("a list of Talos releases"))
    .default([])
    .describe(
      "Releases to go through with through: automatic, one of a minor release. Default: the newest patch of each that this program knows (docs/compatibility.md).",
    );
}

/** `upgrade.kubernetes.releases` */
export function kubernetesReleasesOf<Version extends z.ZodType>(kubernetesVersion: Version) {
  return z
    .array(kubernetesVersion, must("a list of Kubernetes releases"))
    .default([])
    .describe(
      "Releases of Kubernetes to go through with through: automatic, one of a minor release. Default: the newest patch of each that this program knows.",
    );
}
