import { z } from "zod";
import {
  absolutePath,
  choice,
  count,
  flag,
  image,
  listOf,
  namespaceName,
  objectName,
  oneOf,
  port,
  section,
  shown,
  text,
} from "./fields.ts";
import { probeImage, sidecarImages } from "./sidecars.ts";
import type { Sidecar } from "./sidecars.ts";

const iscsiadmPath = absolutePath("/usr/local/sbin/iscsiadm")
  .default("/usr/local/sbin/iscsiadm")
  .describe("Where the extension iscsi-tools puts iscsiadm on the node.");

/** How a driver in a container reaches the node's iscsiadm. Every strategy needs the extension siderolabs/iscsi-tools. */
export const iscsiadmSchema = z
  .discriminatedUnion(
    "strategy",
    [
      section({
        strategy: z
          .literal("chroot")
          .default("chroot")
          .describe("chroot into the node's root, mounted at /host. Right for every supported Talos."),
        path: iscsiadmPath,
      }),
      section({
        strategy: z
          .literal("nsenter")
          .describe(
            "Enter the namespaces of the extension's iscsid. Sets hostPID; impossible with workload isolation (Talos 1.14 and newer).",
          ),
        path: iscsiadmPath,
      }),
    ],
    { error: () => `must be an object whose strategy is ${choice(["chroot", "nsenter"])}` },
  )
  .prefault({})
  .describe("How the driver reaches the node's iscsiadm.");

/** How iscsiadm is reached, with its path. */
export type Iscsiadm = z.output<typeof iscsiadmSchema>;

const sidecarNames = Object.keys(sidecarImages) as [Sidecar, ...Sidecar[]];

/** `images`: replaces single sidecar images. */
export const imagesSchema = section(
  Object.fromEntries(
    sidecarNames.map((name) => [
      name,
      image(sidecarImages[name]).optional().describe(`In place of ${sidecarImages[name]}.`),
    ]),
  ) as Record<Sidecar, z.ZodOptional<ReturnType<typeof image>>>,
)
  .prefault({})
  .describe("Single images by sidecar, used as they are; the others come from the pinned set.");

/** `registry`: one mirror for all images. */
export const registrySchema = text("a registry's host, with a path if needed", "registry.example.com/mirror")
  .refine((value) => /^[A-Za-z0-9.-]+(:\d{1,5})?(\/[a-z0-9._/-]+)?$/.test(value), {
    error: (issue) =>
      `${shown(issue.input)} is not a registry; give host[:port][/path] without scheme, such as registry.example.com/mirror`,
  })
  .optional()
  .describe(
    "Air-gapped clusters: the registry to take every image from, the driver's included. Paths and tags stay.",
  );

/** A taint that a pod tolerates. */
const toleration = section({
  key: text("a taint's key", "node-role.kubernetes.io/control-plane")
    .optional()
    .describe("The taint's key; absent matches every key."),
  operator: oneOf(["Exists", "Equal"]).optional().describe("Exists or Equal (default)."),
  value: z.string().optional().describe("The taint's value, with Equal."),
  effect: oneOf(["NoSchedule", "PreferNoSchedule", "NoExecute"])
    .optional()
    .describe("The effect; absent matches all."),
  tolerationSeconds: z.int().optional().describe("How long a NoExecute taint is borne."),
});

/** `tolerations` of a controller. */
export const controllerTolerations = z
  .array(toleration)
  .default([])
  .describe(
    "Taints it tolerates; none by default, so that it stays off control planes. In a cluster without workers that of control planes is added.",
  );

const labels = z.record(z.string(), z.string({ error: "must be text" }), {
  error: "must be an object of label names and values",
});

/** `controller`: where and how the driver's controller runs. */
const controllerSchema = section({
  replicas: count("a number of replicas", 1, 5)
    .default(1)
    .describe("With more than one the sidecars elect a leader and a new pod takes over within seconds."),
  hostNetwork: flag()
    .default(false)
    .describe("Only when the storage can be reached from the nodes' network alone."),
  nodeSelector: labels
    .default({})
    .describe("Labels of the nodes it may run on, besides kubernetes.io/os: linux."),
  tolerations: controllerTolerations,
})
  .prefault({})
  .describe("The driver's controller: it talks to the storage's API and needs no access to the node.");

const atLeastOne = { error: 'must be a whole number from 1 or a percentage from 1% to 100%, such as "10%"' };

/** `node`: where and how the driver's node part runs. */
const nodeSchema = section({
  controlPlanes: flag()
    .default(true)
    .describe("Whether control planes get it too. Without it no volume can be mounted there."),
  nodeSelector: labels
    .default({})
    .describe("Labels of the nodes it runs on, besides kubernetes.io/os: linux."),
  tolerations: z
    .array(toleration)
    .default([{ operator: "Exists" }])
    .describe("Taints it bears; by default all, since pods with volumes may run anywhere."),
  maxUnavailable: z
    .union(
      [z.int(atLeastOne).min(1, atLeastOne), z.string().regex(/^([1-9]\d?|100)%$/, atLeastOne)],
      atLeastOne,
    )
    .default("10%")
    .describe(
      "How many nodes may be without the driver during a rollout; a percentage is rounded up to at least one.",
    ),
})
  .prefault({})
  .describe("The driver's node part: a DaemonSet that logs in to targets, formats and mounts.");

/** `probe`: whether and how `pulumi up` proves that the driver's volumes work. */
const probeSchema = section({
  enabled: flag()
    .default(true)
    .describe("Whether `pulumi up` probes; false switches it off and keeps the other keys."),
  image: image(probeImage)
    .optional()
    .describe(
      `Image of the probe's pods, with a shell and busybox's programs, used as it is. Default: ${probeImage}, from the registry if one is set.`,
    ),
  size: text("a size", "1Gi")
    .refine((value) => /^[1-9]\d*(\.\d+)?([KMGT]i?|k)?$/.test(value), {
      error: (issue) => `${shown(issue.input)} is not a size of a volume; give one such as 1Gi`,
    })
    .default("1Gi")
    .describe("Size of each volume, as in a claim. It has to be one that the array makes."),
  concurrency: count("a number of volumes", 1, 50)
    .default(3)
    .describe("How many volumes are made and used at a time."),
  timeout: count("a number of seconds", 10, 86_400)
    .default(300)
    .describe("How many seconds each step of a volume may take: being made, attached, mounted, …"),
  tolerations: z
    .array(toleration)
    .default([])
    .describe(
      "Taints that the probe's pods tolerate; nodes with other taints are passed over. In a cluster without workers the taint of control planes is added.",
    ),
})
  .optional()
  .describe(
    "Proves at each `pulumi up` that changed the driver or a node's image that volumes work: one of each StorageClass is written on each node and read on another. Absent: nothing is probed.",
  );

/** How the driver's volumes are probed, with every default. */
export type ProbeSettings = NonNullable<z.output<typeof probeSchema>>;

/** `snapshots`: whether the driver takes snapshots, and the class for them. */
export function snapshotsSchema<Extra extends z.ZodRawShape>(className: string, extra: Extra) {
  return section({
    enabled: flag()
      .default(false)
      .describe(
        "Runs the snapshotter and makes the class. Needs the snapshot CRDs and controller in the cluster (snapshotController).",
      ),
    className: objectName(className).default(className).describe("Name of the VolumeSnapshotClass."),
    deletionPolicy: oneOf(["Delete", "Retain"])
      .default("Delete")
      .describe("What becomes of a snapshot on the storage when its VolumeSnapshot is deleted."),
    default: flag().default(false).describe("Whether this is the driver's default snapshot class."),
    ...extra,
  })
    .prefault({} as never)
    .describe("Volume snapshots.");
}

/** What every StorageClass has, whatever the driver. */
export const storageClassShape = {
  reclaimPolicy: oneOf(["Delete", "Retain"]),
  volumeBindingMode: oneOf(["Immediate", "WaitForFirstConsumer"])
    .default("Immediate")
    .describe("When the volume is made: at once, or when a pod that uses it has a node."),
  default: flag()
    .default(false)
    .describe("Whether claims without a class get this one. One class of a cluster may say so."),
  mountOptions: z
    .array(text("a mount option", "noatime"))
    .default([])
    .describe("Options for mounting, such as noatime."),
};

/** Keys that every driver's settings have. */
export const driverShape = (defaults: { namespace: string; healthPort: number }) => ({
  namespace: namespaceName()
    .default(defaults.namespace)
    .describe("The namespace of the driver. It gets the pod-security labels `privileged`."),
  registry: registrySchema,
  images: imagesSchema,
  imagePullSecrets: listOf(
    objectName("registry-credentials"),
    "names of Secrets in the driver's namespace",
    "[registry-credentials]",
  )
    .optional()
    .describe(
      "Secrets of type kubernetes.io/dockerconfigjson in the driver's namespace, for a registry that asks for credentials.",
    ),
  iscsiadm: iscsiadmSchema,
  controller: controllerSchema,
  node: nodeSchema,
  probe: probeSchema,
  healthPort: port()
    .max(65500, { error: "leaves no room above it; use a port up to 65500" })
    .default(defaults.healthPort)
    .describe(
      "First of three loopback ports on every node for health checks (three more for each further JovianDSS pool). No two drivers may share one.",
    ),
});
