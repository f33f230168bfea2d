import { z } from "zod";
import { kubernetesComponents } from "../kubernetesImages.ts";
import { flagSchema, must, releaseSchema, sectionSchema, textSchema, textsSchema } from "./fields.ts";

/** A release that a node goes through on its way to the wanted one, with what it runs and has to have there. */
const hopSchema = z.object({
  talosVersion: releaseSchema,
  image: textSchema,
  extensions: textsSchema,
  services: textsSchema,
  files: textsSchema,
});

/** Components whose image patches set. */
export const pinnedSchema = z.array(
  z.enum(kubernetesComponents, must(`one of ${kubernetesComponents.join(", ")}`)),
  must(`a list of ${kubernetesComponents.join(", ")}`),
);

/** How Kubernetes is upgraded where a Talos release on the way needs a newer one. */
const kubernetesOnPathSchema = z.object({
  /** One release of each minor, oldest first; the wanted one is the last. */
  releases: textsSchema.min(1, must("a list of texts")),
  /** Components that patches pin, by the node's name. */
  pinned: z.record(z.string(), pinnedSchema).exactOptional(),
  acceptRemovedApis: flagSchema.exactOptional(),
});

/** The input `hops` of what looks at all nodes: each way once, and which node goes it. */
export const hopsSchema = sectionSchema({
  /** Releases by the name of the way, oldest first. */
  ways: z.record(z.string(), z.array(hopSchema, must("a list of releases")), must("releases by way")),
  nodes: z.record(z.string(), z.object({ way: textSchema, after: textsSchema }), must("ways by node")),
  /** Absent: a way on which Kubernetes has to be upgraded is refused. */
  kubernetes: kubernetesOnPathSchema.exactOptional(),
}).superRefine(({ ways, nodes }, context) => {
  for (const [name, { way }] of Object.entries(nodes))
    if (!Object.hasOwn(ways, way))
      context.addIssue({
        code: "custom",
        path: ["nodes", name, "way"],
        message: `must be one of ${Object.keys(ways).join(", ")}, not ${JSON.stringify(way)}`,
      });
});

export type Hop = z.output<typeof hopSchema>;
export type KubernetesOnPath = z.output<typeof kubernetesOnPathSchema>;
