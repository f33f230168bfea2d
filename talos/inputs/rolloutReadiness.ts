import { z } from "zod";
import type { NamedHardware } from "../hardware/named.ts";
import { isRecord } from "../values.ts";
import { onRemoveSchema } from "./clusterMembership.ts";
import { flagSchema, hiddenSchema, must, mustHidden, textSchema } from "./fields.ts";
import { pinnedSchema } from "./hops.ts";

/** A node's desired machine configuration, and its patches. */
export const configurationSchema = z.object(
  {
    text: z.string(mustHidden("a machine configuration")),
    patches: z.array(z.string(mustHidden("a string")), mustHidden("a list of strings")).default([]),
  },
  mustHidden("{ text, patches }"),
);

/** The hardware that the configurations name. */
const hardwareSchema = z.object(
  {
    /** Absent: refuse for a machine without a configuration, warn for a running node. */
    check: z.enum(["refuse", "warn"], mustHidden('"refuse" or "warn"')).exactOptional(),
    /** By node name. */
    named: z.record(
      z.string(),
      z.array(z.custom<NamedHardware>(isRecord, mustHidden("a disk or a link")), mustHidden("a list")),
      mustHidden("disks and links by node"),
    ),
  },
  mustHidden("{ check, named }"),
);

/** Inputs of a KubernetesUpgrade besides nodes and release. */
const kubernetesSchema = z.object(
  {
    /** Components that patches pin, by node name. */
    pinned: z.record(z.string(), pinnedSchema, must("components by node")).default({}),
    through: z.array(textSchema, must("a list of Kubernetes releases")).exactOptional(),
    acceptRemovedApis: flagSchema.exactOptional(),
    removedObjects: z.array(z.string(must("a string")), must("a list of strings")).exactOptional(),
  },
  must("{ pinned, through, acceptRemovedApis, removedObjects }"),
);

/** The inputs of a RolloutReadiness besides those of a RolloutPreflight. */
export const readinessSchema = z.object({
  onRemove: onRemoveSchema.default("keep"),
  configurations: z
    .record(z.string(), configurationSchema, mustHidden("configurations by node"))
    .exactOptional(),
  /** The contract of the machine configurations. */
  contract: textSchema.exactOptional(),
  hidden: hiddenSchema.exactOptional(),
  /** The plan itself may be an object or text. */
  approvedPlan: z
    .object({ digest: textSchema, plan: z.unknown().optional() }, must("{ digest, plan }"))
    .exactOptional(),
  hardware: hardwareSchema.exactOptional(),
  kubernetes: kubernetesSchema.exactOptional(),
  preview: flagSchema.default(false),
  /** The program run that provides these inputs. */
  run: z.string(must("a string")).default(""),
});

/** A configuration as the plan reads it. */
export type ConfigurationToBe = z.output<typeof configurationSchema>;
export type HardwareInput = z.output<typeof hardwareSchema>;
