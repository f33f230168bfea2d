import { coded } from "../talos/errorCodes.ts";
import * as pulumi from "@pulumi/pulumi";
import { iscsiRequirements, withoutIscsiLabel, type IscsiRequirements } from "../talos/iscsi.ts";
import { releasesBefore } from "../talos/releases.ts";
import { FactoryImage, type FactoryImageArgs } from "./factoryImage.ts";
import type { NodeHops } from "./rolloutHops.ts";
import type { TalosClusterNode } from "./talosCluster.ts";

type ImageArgs = Omit<FactoryImageArgs, "talosVersion" | "sharedProvider">;

/** A node's image settings. */
export interface NodeOfImage {
  /** Name of one of the images. Default: the cluster's image. */
  image?: string | undefined;
  /** The Talos release it will run. */
  talosVersion: string;
  /** Whether it reaches iSCSI storage. */
  iscsi: boolean;
}

/** A node, or a pool for its future nodes. */
interface UserOfImage {
  image?: string | undefined;
  talosVersion?: string | undefined;
  pool?: string | undefined;
}

/** The image settings of the cluster's nodes. */
export interface ImageSettings {
  /** Release that the references of each image are for. */
  talosVersion: string;
  /** The image of nodes that name none. */
  image: ImageArgs;
  /** Further images by name. */
  images: Record<string, ImageArgs>;
  /** Its nodes, pools expanded into them, and its pools. */
  cluster: { nodes: UserOfImage[]; pools: Record<string, UserOfImage> };
  /** How nodes several minor releases behind reach their release: `releases` replaces the newest known patches. */
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
  /** A node's image. */
  of: (node: Pick<NodeOfImage, "image">) => FactoryImage;
  /** The parts of it that an upgrade needs. */
  upgradeOf: (node: NodeOfImage) => {
    image: pulumi.Output<string>;
    schematicId?: pulumi.Output<string>;
    imageName?: string;
    requirements: IscsiRequirements;
    way?: NodeHops;
  };
  /** Each image's confirmation that its factory agrees on the schematic. */
  confirmed: pulumi.Resource[];
  /** Every image by name; undefined where there is only one. */
  table: pulumi.Output<Record<string, ImageRow>> | undefined;
}

/** The name of `image` among the named ones. */
const defaultName = "default";

/** One FactoryImage per named image, besides the default one. Images of the same factory share a provider, so that its plugin runs once. */
export function nodeImages(
  byDefault: FactoryImage,
  { talosVersion: ofStack, image, images, cluster, upgrade }: ImageSettings,
  opts: pulumi.ComponentResourceOptions,
  nameOf: (part: string) => string,
): NodeImages {
  const named = Object.entries(images).map(([name, args]) => {
    const sharedProvider = args.factory === image.factory ? byDefault.provider : undefined;
    const talosVersion = commonRelease(name, cluster) ?? ofStack;
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

/** The release of all who use an image, which a new machine must boot, too; undefined if they differ or follow the stack. */
function commonRelease(image: string, { nodes, pools }: ImageSettings["cluster"]): string | undefined {
  const named = new Set(nodes.map(({ pool }) => pool));
  const future = Object.entries(pools).flatMap(([name, pool]) => (named.has(name) ? [] : [pool]));
  const users = [...nodes, ...future].filter((user) => user.image === image);
  const [release, ...others] = new Set(users.map(({ talosVersion }) => talosVersion));
  return others.length === 0 ? release : undefined;
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

/** What a node's machine configuration contains because of the node's purpose. Empty values are omitted: older states have none of them. */
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
