import { coded } from "../talos/errorCodes.ts";
import * as pulumi from "@pulumi/pulumi";
import { iscsiRequirements, withoutIscsiLabel, type IscsiRequirements } from "../talos/iscsi.ts";
import { releasesBefore } from "../talos/releases.ts";
import { FactoryImage, type FactoryImageArgs } from "./factoryImage.ts";
import type { NodeHops } from "./rolloutHops.ts";
import type { TalosClusterNode } from "./talosCluster.ts";

type ImageArgs = Omit<FactoryImageArgs, "talosVersion" | "sharedProvider">;

/** What a node says of its image. */
export interface NodeOfImage {
  /** Name of one of the images. Default: the image of the cluster. */
  image?: string | undefined;
  /** The Talos release it is to run. */
  talosVersion: string;
  /** Whether it reaches iSCSI storage. */
  iscsi: boolean;
}

/** What the cluster's nodes run. */
export interface ImageSettings {
  /** Release that the references of each image are for. */
  talosVersion: string;
  /** What a node runs that names no image. */
  image: ImageArgs;
  /** Further images by name. */
  images: Record<string, ImageArgs>;
  /** How nodes that are several minor releases behind get to theirs: `releases` in place of the newest patches that are known. */
  upgrade: { through: "refuse" | "automatic"; releases: string[] };
}

/** One image as a row of the stack's outputs. */
export interface ImageRow {
  schematicId: string;
  installerImage: string;
  architecture: string;
  isoUrl: string;
  pxeUrl: string;
  /** Absent for a platform without one. */
  diskImageUrl?: string;
}

/** The images of a cluster, and which node runs which. */
export interface NodeImages {
  /** The image of a node. */
  of: (node: Pick<NodeOfImage, "image">) => FactoryImage;
  /** What its upgrade has to know of it. */
  upgradeOf: (node: NodeOfImage) => {
    image: pulumi.Output<string>;
    schematicId?: pulumi.Output<string>;
    imageName?: string;
    requirements: IscsiRequirements;
    way?: NodeHops;
  };
  /** Each image's proof that its factory agrees about the schematic. */
  confirmed: pulumi.Resource[];
  /** Every image by name; undefined where there is only one. */
  table: pulumi.Output<Record<string, ImageRow>> | undefined;
}

/** What `image` is called beside named ones. */
const defaultName = "default";

/** One FactoryImage for each named image beside the default one. An image of the same factory shares its provider, so that its plugin runs once. */
export function nodeImages(
  byDefault: FactoryImage,
  { talosVersion, image, images, upgrade }: ImageSettings,
  opts: pulumi.ComponentResourceOptions,
  nameOf: (part: string) => string,
): NodeImages {
  const named = Object.entries(images).map(([name, args]) => {
    const sharedProvider = args.factory === image.factory ? byDefault.provider : undefined;
    return [
      name,
      new FactoryImage(nameOf(`image-${name}`), { ...args, talosVersion, sharedProvider }, opts),
    ] as const;
  });
  const made = new Map([[defaultName, byDefault] as const, ...named]);
  const of: NodeImages["of"] = (node) => {
    const found = made.get(node.image ?? defaultName);
    if (found !== undefined) return found;
    throw new pulumi.InputPropertyError({
      propertyPath: "nodes",
      reason: coded("arguments", `have image ${node.image}, but there is no images.${node.image}`),
    });
  };
  const several = named.length > 0;
  const wayOf = (name: string, node: NodeOfImage): NodeHops => ({
    name: `${name} to ${node.talosVersion}${node.iscsi ? "" : " without iSCSI"}`,
    releases: releasesBefore(node.talosVersion, upgrade.releases).map((release) => ({
      talosVersion: release,
      image: of(node).installerImageOf(release),
      ...iscsiRequirements((images[name] ?? image).schematic, release, node.iscsi),
    })),
  });
  return {
    of,
    upgradeOf: (node) => {
      const name = node.image ?? defaultName;
      const { schematic } = images[name] ?? image;
      return {
        image: of(node).installerImageOf(node.talosVersion),
        ...(name === defaultName ? {} : { schematicId: of(node).schematicId }),
        ...(several ? { imageName: name } : {}),
        requirements: iscsiRequirements(schematic, node.talosVersion, node.iscsi),
        ...(upgrade.through === "automatic" ? { way: wayOf(name, node) } : {}),
      };
    },
    confirmed: [...made.values()].map(({ confirmed }) => confirmed),
    table: several
      ? pulumi.all(Object.fromEntries([...made].map(([name, made]) => [name, imageRow(made)])))
      : undefined,
  };
}

function imageRow(image: FactoryImage): pulumi.Output<ImageRow> {
  const { schematicId, installerImage, architecture, isoUrl, pxeUrl, diskImageUrl } = image;
  return pulumi
    .all([schematicId, installerImage, isoUrl, pxeUrl, diskImageUrl])
    .apply(([schematic, installer, iso, pxe, disk]) => ({
      schematicId: schematic,
      installerImage: installer,
      architecture,
      isoUrl: iso,
      pxeUrl: pxe,
      ...(disk === undefined ? {} : { diskImageUrl: disk }),
    }));
}

/** What a node's machine configuration has because of what the node is for. What is empty is left out: states of before have none of it. */
export function nodeParts({
  iscsi,
  labels,
  taints,
}: Pick<NodeOfImage, "iscsi"> & {
  labels: Record<string, string>;
  taints: Record<string, string>;
}): Pick<TalosClusterNode, "kernelModules" | "labels" | "taints"> {
  const all = { ...labels, ...(iscsi ? {} : { [withoutIscsiLabel.key]: withoutIscsiLabel.value }) };
  return {
    kernelModules: iscsi ? undefined : [],
    labels: Object.keys(all).length === 0 ? undefined : all,
    taints: Object.keys(taints).length === 0 ? undefined : taints,
  };
}
