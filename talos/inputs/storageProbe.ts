import { z } from "zod";
import { kubeconfigSchema, must, recordSchema, secondsSchema, textSchema } from "./fields.ts";

const classesText = "a list of { name, driver, accessMode }";

/** A StorageClass to probe. */
const probedClassSchema = z.object(
  {
    name: textSchema,
    /** The driver that the class must belong to. Absent: any. */
    driver: z.string(must("a string")).exactOptional(),
    /** The claims' access mode. Absent: ReadWriteOnce. */
    accessMode: z
      .enum(["ReadWriteOnce", "ReadWriteOncePod"], must("ReadWriteOnce or ReadWriteOncePod"))
      .exactOptional(),
  },
  must("{ name, driver, accessMode }"),
);

/** A toleration of the pods, as in a pod spec. */
const tolerationSchema = z.object({
  key: z.string().exactOptional(),
  operator: z.string().exactOptional(),
  value: z.string().exactOptional(),
  effect: z.string().exactOptional(),
  tolerationSeconds: z.number().exactOptional(),
});

/** The inputs of a StorageProbe. */
export const storageProbeSchema = z.object({
  kubeconfig: kubeconfigSchema,
  storageClasses: z.array(probedClassSchema, must(classesText)).min(1, must(classesText)),
  image: textSchema,
  /** Size of each volume, as in a claim. */
  size: textSchema,
  /** How many volumes are probed concurrently. */
  concurrency: z.number(must("a number greater than 0")).gt(0, must("a number greater than 0")).default(3),
  /** Time limit for each step of a volume. */
  timeoutSeconds: secondsSchema.default(300),
  tolerations: z.array(tolerationSchema, must("a list of tolerations")).default([]),
  /** What each node runs and the driver's parts, by name: a changed value triggers another probe. */
  nodes: recordSchema.exactOptional(),
  driver: recordSchema.exactOptional(),
});
