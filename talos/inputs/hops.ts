import { z } from "zod";
import { kubernetesComponents } from "../kubernetesImages.ts";
import { flagSchema, must, releaseSchema, sectionSchema, textSchema, textsSchema } from "./fields.ts";

/** An intermediate release of a node, with its image and requirements. */
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

/** How to upgrade Kubernetes if a Talos release on the path needs a newer one. */
const kubernetesOnPathSchema = z.object({
  /** One release of each minor, oldest first; the desired one is last. */
  releases: textsSchema.min(1, must("a list of strings")),
  /** Components that patches pin, by node name. */
  pinned: z.record(z.string(), pinnedSchema).exactOptional(),
  acceptRemovedApis: flagSchema.exactOptional(),
});

/** The input `hops` of resources that read all nodes: each path once, and each node's path. */
export const hopsSchema = sectionSchema({
  /** Releases by path name, oldest first. */
  ways: z.record(z.string(), z.array(hopSchema, must("a list of releases")), must("releases by way")),
  nodes: z.record(z.string(), z.object({ way: textSchema, after: textsSchema }), must("ways by node")),
  /** Absent: a path that needs a Kubernetes upgrade is refused. */
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
