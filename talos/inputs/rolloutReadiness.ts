import { z } from "zod";
import type { NamedHardware } from "../hardware/named.ts";
import { isRecord } from "../values.ts";
import { onRemoveSchema } from "./clusterMembership.ts";
import { flagSchema, hiddenSchema, must, mustHidden, textSchema } from "./fields.ts";
import { pinnedSchema } from "./hops.ts";

/** A machine configuration that a node is to have, and the patches in it. */
export const configurationSchema = z.object(
  {
    text: z.string(mustHidden("a machine configuration")),
    patches: z.array(z.string(mustHidden("a text")), mustHidden("a list of texts")).default([]),
  },
  mustHidden("{ text, patches }"),
);

/** What the configurations name of their machines. */
const hardwareSchema = z.object(
  {
    /** Absent: refuse for a machine without a configuration, warn for a running node. */
    check: z.enum(["refuse", "warn"], mustHidden('"refuse" or "warn"')).exactOptional(),
    /** By the nodes' names. */
    named: z.record(
      z.string(),
      z.array(z.custom<NamedHardware>(isRecord, mustHidden("a disk or a link")), mustHidden("a list")),
      mustHidden("disks and links by node"),
    ),
  },
  mustHidden("{ check, named }"),
);

/** What a KubernetesUpgrade has beside nodes and release. */
const kubernetesSchema = z.object(
  {
    /** Components that patches pin, by the nodes' names. */
    pinned: z.record(z.string(), pinnedSchema, must("components by node")).default({}),
    through: z.array(textSchema, must("a list of Kubernetes releases")).exactOptional(),
    acceptRemovedApis: flagSchema.exactOptional(),
    removedObjects: z.array(z.string(must("a text")), must("a list of texts")).exactOptional(),
  },
  must("{ pinned, through, acceptRemovedApis, removedObjects }"),
);

/** The inputs that a RolloutReadiness has beside those of a RolloutPreflight. */
export const readinessSchema = z.object({
  onRemove: onRemoveSchema.default("keep"),
  configurations: z
    .record(z.string(), configurationSchema, mustHidden("configurations by node"))
    .exactOptional(),
  /** The contract of the machine configurations. */
  contract: textSchema.exactOptional(),
  hidden: hiddenSchema.exactOptional(),
  /** The plan itself may be given as an object or as text. */
  approvedPlan: z
    .object({ digest: textSchema, plan: z.unknown().optional() }, must("{ digest, plan }"))
    .exactOptional(),
  hardware: hardwareSchema.exactOptional(),
  kubernetes: kubernetesSchema.exactOptional(),
  preview: flagSchema.default(false),
  /** The run of the program that gives these inputs. */
  run: z.string(must("a text")).default(""),
});

/** A configuration as the plan looks at it. */
export type ConfigurationToBe = z.output<typeof configurationSchema>;
export type HardwareInput = z.output<typeof hardwareSchema>;
