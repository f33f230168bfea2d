import type { Manifest, PodSpec, Workload } from "./manifests.ts";

/** What can be removed from the pods: the accounts' tokens, the driver's configuration, or our shims in the node plugin. */
export const removableParts = ["token", "configuration", "shims"] as const;
export type RemovablePart = (typeof removableParts)[number];

/** Removes a part from the pods of rendered objects. */
export function removeFromPods(manifests: readonly Manifest[], what: RemovablePart): void {
  for (const one of manifests) {
    if (one.kind === "ServiceAccount" && what === "token") one["automountServiceAccountToken"] = false;
    if (one.kind !== "Deployment" && one.kind !== "DaemonSet") continue;
    const pod = (one as Workload).spec.template.spec;
    if (what === "configuration") withoutVolume(pod, "config");
    if (what === "shims") withoutVolume(pod, "shims");
  }
}

function withoutVolume(pod: PodSpec, name: string): void {
  pod.volumes = (pod.volumes ?? []).filter((volume) => volume.name !== name);
  for (const container of pod.containers) {
    container.volumeMounts = (container.volumeMounts ?? []).filter((mount) => mount.name !== name);
  }
}
