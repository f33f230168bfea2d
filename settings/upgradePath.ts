import { z } from "zod";
import { must } from "./messages.ts";

/** How nodes that are several minor releases behind get to theirs. */

/** `upgrade.through` */
export const throughSchema = z
  .enum(["refuse", "automatic"], must("refuse or automatic"))
  .default("refuse")
  .describe("Several Talos minor releases behind: `refuse`, or `automatic`: a rollout for each.");

/** `upgrade.releases` */
export function releasesSchema<Version extends z.ZodType>(talosVersion: Version) {
  return z
    .array(talosVersion, must("a list of Talos releases"))
    .default([])
    .describe("For `through: automatic`; otherwise the newest known patches (docs/compatibility.md).");
}

/** `upgrade.kubernetes.releases` */
export function kubernetesReleasesSchema<Version extends z.ZodType>(kubernetesVersion: Version) {
  return z
    .array(kubernetesVersion, must("a list of Kubernetes releases"))
    .default([])
    .describe("For `through: automatic`; otherwise the newest known patches.");
}
