import type { Manifest, PodSpec, Workload } from "./manifests.ts";

/** What can be taken away from the pods: the accounts' tokens, the driver's configuration, or the programs of ours in its node part. */
export const removableParts = ["token", "configuration", "shims"] as const;
export type RemovablePart = (typeof removableParts)[number];

/** Changes rendered objects so that their pods go without something. */
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
