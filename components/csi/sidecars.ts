import { inRegistry } from "./imageReference.ts";

/** The Kubernetes project's CSI sidecars, and the cluster's snapshot controller. */
export type Sidecar =
  | "provisioner"
  | "attacher"
  | "resizer"
  | "snapshotter"
  | "registrar"
  | "livenessProbe"
  | "snapshotController";

/**
 * Every image other than a driver's own, with its version: the only place to change them. Provisioner, attacher, resizer, snapshotter and the snapshot
 * controller are the versions that test/lab/csiSidecars.test.ts runs, built from their Go modules; the registrar and the liveness probe are on no module proxy.
 * The tags are upstream's; no test fetches their digests.
 */
export const sidecarImages: Readonly<Record<Sidecar, string>> = {
  provisioner: "registry.k8s.io/sig-storage/csi-provisioner:v6.3.0",
  attacher: "registry.k8s.io/sig-storage/csi-attacher:v4.12.0",
  resizer: "registry.k8s.io/sig-storage/csi-resizer:v2.3.0",
  snapshotter: "registry.k8s.io/sig-storage/csi-snapshotter:v8.6.0",
  registrar: "registry.k8s.io/sig-storage/csi-node-driver-registrar:v2.17.0",
  livenessProbe: "registry.k8s.io/sig-storage/livenessprobe:v2.19.0",
  snapshotController: "registry.k8s.io/sig-storage/snapshot-controller:v8.6.0",
};

/** The image of the storage probe's pods: a shell with busybox's programs. Several public projects pin this digest for the tag; no test fetches it. */
export const probeImage =
  "registry.k8s.io/e2e-test-images/busybox:1.36.1-1@sha256:a9155b13325b2abef48e71de77bb8ac015412a566829f621d06bfae5c699b1b9";

/** Where images come from, if not from their original registries. */
export interface ImageSource {
  /** Replaces the registry of every image, including the drivers'. */
  registry?: string | undefined;
  /** Replaces individual images; an entry is used unchanged, whatever `registry` is set to. */
  images?: Partial<Record<Sidecar, string | undefined>> | undefined;
}

/** The image to run for a sidecar. */
export function sidecarImage(sidecar: Sidecar, source: ImageSource): string {
  return source.images?.[sidecar] ?? inRegistry(sidecarImages[sidecar], source.registry);
}
