import { z } from "zod";
import {
  absolutePathSchema,
  joinChoices,
  countSchema,
  flagSchema,
  imageSchema,
  listSchema,
  namespaceNameSchema,
  objectNameSchema,
  choiceSchema,
  portSchema,
  sectionSchema,
  describeValue,
  textSchema,
} from "./fields.ts";
import { isLabelValue, isQualifiedName } from "../../talos/nodeMetadata.ts";
import { labelsSchema } from "./labels.ts";
import { probeImage, sidecarImages } from "./sidecars.ts";
import type { Sidecar } from "./sidecars.ts";

const iscsiadmPath = absolutePathSchema("/usr/local/sbin/iscsiadm")
  .default("/usr/local/sbin/iscsiadm")
  .describe("iscsiadm on the node.");

/** How a driver in a container reaches the node's iscsiadm. Every strategy needs the extension siderolabs/iscsi-tools. */
const iscsiadmSchema = z
  .discriminatedUnion(
    "strategy",
    [
      sectionSchema({
        strategy: z
          .literal("chroot")
          .default("chroot")
          .describe("chroot into the node's root; works on every Talos."),
        path: iscsiadmPath,
      }),
      sectionSchema({
        strategy: z
          .literal("nsenter")
          .describe("Enter iscsid's namespaces; fails with workload isolation (contract v1.14)."),
        path: iscsiadmPath,
      }),
    ],
    { error: () => `must be an object whose strategy is ${joinChoices(["chroot", "nsenter"])}` },
  )
  .prefault({})
  .describe("How the driver runs iscsiadm.");

/** How iscsiadm is reached, with its path. */
export type Iscsiadm = z.output<typeof iscsiadmSchema>;

const sidecarNames = Object.keys(sidecarImages) as [Sidecar, ...Sidecar[]];

/** `images`: replaces individual sidecar images. */
export const imagesSchema = sectionSchema(
  Object.fromEntries(
    sidecarNames.map((name) => [
      name,
      imageSchema(sidecarImages[name]).optional().describe(`Instead of ${sidecarImages[name]}.`),
    ]),
  ) as Record<Sidecar, z.ZodOptional<ReturnType<typeof imageSchema>>>,
)
  .prefault({})
  .describe("Override individual images.");

/** `registry`: one mirror for all images. */
export const registrySchema = textSchema(
  "a registry's host, with a path if needed",
  "registry.example.com/mirror",
)
  .refine((value) => /^[A-Za-z0-9.-]+(:\d{1,5})?(\/[a-z0-9._/-]+)?$/.test(value), {
    error: (issue) =>
      `${describeValue(issue.input)} is not a registry; use host[:port][/path] without a scheme, such as registry.example.com/mirror`,
  })
  .optional()
  .describe("Registry for all images; paths and tags stay.");

/** A toleration of a pod, with the rules of Kubernetes: the API server applies them only when the driver is deployed, after the rollout. */
const toleration = sectionSchema({
  key: textSchema("a taint's key", "node-role.kubernetes.io/control-plane")
    .refine(isQualifiedName, { error: "is not a taint's name; use one such as example.com/dedicated" })
    .optional()
    .describe("Absent: every key."),
  operator: choiceSchema(["Exists", "Equal"]).optional().describe("Default: Equal."),
  value: z
    .string({ error: "must be text; set a taint's value in quotes" })
    .refine(isLabelValue, {
      error: "is not a taint's value: at most 63 letters, digits, dashes, underscores and dots",
    })
    .optional()
    .describe("Taint value."),
  effect: choiceSchema(["NoSchedule", "PreferNoSchedule", "NoExecute"]).optional().describe("Absent: all."),
  tolerationSeconds: z
    .int({ error: "must be a whole number of seconds" })
    .optional()
    .describe("For NoExecute."),
})
  .refine(({ key, operator }) => key !== undefined || operator === "Exists", {
    path: ["operator"],
    error: "without a key must be Exists; set operator: Exists, or the taint's key",
  })
  .refine(({ operator, value }) => operator !== "Exists" || (value ?? "") === "", {
    path: ["value"],
    error: "belongs to the operator Equal; remove it, or set operator: Equal",
  })
  .refine(({ effect, tolerationSeconds }) => tolerationSeconds === undefined || effect === "NoExecute", {
    path: ["tolerationSeconds"],
    error: "needs the effect NoExecute; remove it, or set effect: NoExecute",
  });

const tolerationsSchema = z.array(toleration, {
  error: "must be a list of tolerations such as [{ key: dedicated, operator: Exists }]",
});

/** `tolerations` of a controller. */
export const controllerTolerations = tolerationsSchema
  .default([])
  .describe("Without workers, control planes are tolerated.");

/** `controller`: where and how the driver's controller runs. */
const controllerSchema = sectionSchema({
  replicas: countSchema("a number of replicas", 1, 5)
    .default(1)
    .describe("More than one: failover within seconds."),
  hostNetwork: flagSchema().default(false).describe("If only nodes reach the storage."),
  nodeSelector: labelsSchema().default({}).describe("Node labels."),
  tolerations: controllerTolerations,
})
  .prefault({})
  .describe("The driver's controller.");

const atLeastOne = { error: 'must be a whole number from 1 or a percentage from 1% to 100%, such as "10%"' };

/** `node`: where and how the driver's node plugin runs. */
const nodeSchema = sectionSchema({
  controlPlanes: flagSchema().default(true).describe("Run on control planes."),
  nodeSelector: labelsSchema().default({}).describe("Node labels."),
  tolerations: tolerationsSchema.default([{ operator: "Exists" }]).describe("Tolerated taints."),
  maxUnavailable: z
    .union(
      [z.int(atLeastOne).min(1, atLeastOne), z.string().regex(/^([1-9]\d?|100)%$/, atLeastOne)],
      atLeastOne,
    )
    .default("10%")
    .describe("DaemonSet rollout limit."),
})
  .prefault({})
  .describe("The driver's DaemonSet.");

/** `probe`: whether and how `pulumi up` verifies that the driver's volumes work. */
const probeSchema = sectionSchema({
  enabled: flagSchema().default(true).describe("`false` turns it off."),
  image: imageSchema(probeImage)
    .optional()
    .describe(`Image with a shell and busybox. Default: ${probeImage}.`),
  size: textSchema("a size", "1Gi")
    .refine((value) => /^[1-9]\d*(\.\d+)?([KMGT]i?|k)?$/.test(value), {
      error: (issue) => `${describeValue(issue.input)} is not a volume size; use one such as 1Gi`,
    })
    .default("1Gi")
    .describe("Volume size."),
  concurrency: countSchema("a number of volumes", 1, 50).default(3).describe("Volumes at a time."),
  timeout: countSchema("a number of seconds", 10, 86_400).default(300).describe("Seconds for each step."),
  tolerations: tolerationsSchema.default([]).describe("Nodes with other taints are skipped."),
})
  .optional()
  .describe("Storage probe in `pulumi up`. Absent: off.");

/** How the driver's volumes are probed, with all defaults. */
export type ProbeSettings = NonNullable<z.output<typeof probeSchema>>;

/** `snapshots`: whether the driver takes snapshots, and their class. */
export function snapshotsSchema<Extra extends z.ZodRawShape>(className: string, extra: Extra) {
  return sectionSchema({
    enabled: flagSchema().default(false).describe("Needs `snapshotController`."),
    className: objectNameSchema(className).default(className).describe("VolumeSnapshotClass name."),
    deletionPolicy: choiceSchema(["Delete", "Retain"]).default("Delete").describe("Deletion policy."),
    default: flagSchema().default(false).describe("Default snapshot class."),
    ...extra,
  })
    .prefault({} as never)
    .describe("Snapshots.");
}

/** Keys of every StorageClass, for any driver. */
export const storageClassShape = {
  reclaimPolicy: choiceSchema(["Delete", "Retain"]),
  volumeBindingMode: choiceSchema(["Immediate", "WaitForFirstConsumer"])
    .default("Immediate")
    .describe("Binding mode."),
  default: flagSchema().default(false).describe("Default class; at most one per cluster."),
  mountOptions: z
    .array(textSchema("a mount option", "noatime"), {
      error: "must be a list of mount options such as [noatime]",
    })
    .default([])
    .describe("Mount options."),
};

/** The first of a driver's health ports. */
export const healthPortSchema = () =>
  portSchema().max(65500, { error: "leaves no room above it; use a port up to 65500" });

/** Keys of every driver's settings. */
export const driverShape = (defaults: { namespace: string; healthPort: number }) => ({
  namespace: namespaceNameSchema()
    .default(defaults.namespace)
    .describe("Privileged namespace of the driver."),
  registry: registrySchema,
  images: imagesSchema,
  imagePullSecrets: listSchema(
    objectNameSchema("registry-credentials"),
    "names of Secrets in the driver's namespace",
    "[registry-credentials]",
  )
    .optional()
    .describe("Pull secrets in the driver's namespace."),
  iscsiadm: iscsiadmSchema,
  controller: controllerSchema,
  node: nodeSchema,
  probe: probeSchema,
  healthPort: healthPortSchema()
    .default(defaults.healthPort)
    .describe("First of three loopback ports (three more per additional pool), unique per driver."),
});
