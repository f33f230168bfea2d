import { z } from "zod";
import { must } from "./messages.ts";

/** Settings for upgrades across several minor releases. */

/** `upgrade.through` */
export const throughSchema = z
  .enum(["refuse", "automatic"], must("refuse or automatic"))
  .default("refuse")
  .describe("Nodes several minor releases behind: `refuse`, or `automatic`: one rollout per release.");

/** `upgrade.releases` */
export function releasesSchema<Version extends z.ZodType>(talosVersion: Version) {
  return z
    .array(talosVersion, must("a list of Talos releases"))
    .default([])
    .describe("Steps of `through: automatic`. Default: newest known patches (docs/compatibility.md).");
}

/** `upgrade.kubernetes.releases` */
export function kubernetesReleasesSchema<Version extends z.ZodType>(kubernetesVersion: Version) {
  return z
    .array(kubernetesVersion, must("a list of Kubernetes releases"))
    .default([])
    .describe("Steps of `through: automatic`. Default: newest known patches.");
}
