import { z } from "zod";
import type { Problem } from "../components/csi/problems.ts";
import { installerImage } from "../talos/image.ts";
import { parseSchematic, schematicId, SchematicError, type Schematic } from "../talos/schematic.ts";
import { versionAtLeast } from "../talos/version.ts";
import { defaultImage, imageSchema, type ImageSettings } from "./imageSettings.ts";
import { givenNodes, type GivenNode, type GivenSettings } from "./given.ts";
import { poolsWithoutNodes } from "./pools.ts";
import { iscsiTools, releaseOfNode } from "./parsable.ts";

/** The images, and which node runs which. Works on settings as written, so that one run reports all mistakes. */

/** An image with its parsed schematic. */
export type CheckedImage = Omit<ImageSettings, "schematic"> & { schematic: Schematic };

/** An image's path in the settings, and its values with those of `image` as defaults. */
interface GivenImage {
  name: string;
  path: string;
  given: NonNullable<GivenSettings["image"]>;
  /** The path of its schematic: that of `image` if it has none. */
  schematicPath: string;
}

/** `image` and each of `images`. */
export function givenImages({
  image: base,
  images: named,
}: Pick<GivenSettings, "image" | "images">): GivenImage[] {
  return [
    { name: defaultImage, path: "image", given: base ?? {}, schematicPath: "image.schematic" },
    ...Object.entries(named ?? {}).map(([name, own]) => {
      const path = `images.${name}`;
      const given = { ...base, ...own };
      const schematicPath = own?.schematic === undefined ? "image.schematic" : `${path}.schematic`;
      return { name, path, given, schematicPath };
    }),
  ];
}

/** The name of the image that a node runs. */
export function imageNameOf({ image }: GivenNode): string {
  return image ?? defaultImage;
}

/** The image that a node runs; undefined where there is none of that name, which is reported elsewhere. */
export function givenImageOfNode(settings: GivenSettings, node: GivenNode): GivenImage | undefined {
  return givenImages(settings).find(({ name }) => name === imageNameOf(node));
}

/** Does the node use iSCSI storage? */
export function usesIscsi({ iscsi }: GivenNode): boolean {
  return iscsi !== false;
}

/** The part of a schematic that lists official extensions; `parseSchematic` validates the whole. */
const extensionsSchema = z.object({
  customization: z
    .object({
      systemExtensions: z.object({ officialExtensions: z.array(z.unknown()).optional() }).optional(),
    })
    .optional(),
});

/** The official extensions in an image's schematic; those of the default schematic if it has none. */
export function givenExtensions({ given }: GivenImage): string[] {
  if (given.schematic === undefined) return [iscsiTools];
  const { customization } = extensionsSchema.safeParse(given.schematic).data ?? {};
  const extensions = customization?.systemExtensions?.officialExtensions ?? [];
  return extensions.filter((name) => typeof name === "string");
}

/** The official extensions of a schematic. */
export function schematicExtensions({ customization }: Schematic): readonly string[] {
  return customization?.systemExtensions?.officialExtensions ?? [];
}

/** A node's installer image; undefined where its settings are malformed, which is reported elsewhere. */
export function givenInstaller(settings: GivenSettings, node: GivenNode): string | undefined {
  const given = givenImageOfNode(settings, node);
  const image = given === undefined ? undefined : imageSchema.safeParse(given.given).data;
  const version = releaseOfNode(settings, node);
  if (image === undefined || version === undefined) return undefined;
  try {
    return installerImage({ ...image, schematicId: schematicId(parseSchematic(image.schematic)), version });
  } catch (error) {
    if (error instanceof SchematicError) return undefined;
    throw error;
  }
}

/** Every valid image by name. Problems with other images, or with a node's choice of one, are added to `problems`. */
export function checkImages(
  settings: GivenSettings,
  problems: Problem[],
  warnings: Problem[],
): Map<string, CheckedImage> {
  const nodes = givenNodes(settings);
  const images = givenImages(settings);
  const emptyPools = poolsWithoutNodes(settings);
  const choices = [
    ...nodes.map((node, index) => ({ path: `cluster.nodes[${index}].image`, name: imageNameOf(node) })),
    ...emptyPools.map(({ path, pool }) => ({
      path: `${path}.image`,
      name: imageNameOf(pool),
    })),
  ];
  for (const { path, name } of choices) {
    if (images.some((image) => image.name === name)) continue;
    const known = images.map((image) => image.name).join(", ");
    problems.push({ path, reason: `is ${name}, but there is no images.${name}; available: ${known}` });
  }
  const checked = new Map<string, CheckedImage>();
  for (const image of images) {
    // A pool's image stays right when its last node is removed.
    const users = [...nodes, ...emptyPools.map(({ pool }) => pool)].filter(
      (user) => imageNameOf(user) === image.name,
    );
    const schematic = readSchematic(image, problems);
    if (schematic === undefined) continue;
    // What no node runs needs nothing.
    const needsIscsi = nodes.length === 0 || users.some(usesIscsi);
    if (needsIscsi && !schematicExtensions(schematic).includes(iscsiTools))
      problems.push({
        path: `${image.schematicPath}.customization.systemExtensions.officialExtensions`,
        reason: `has no ${iscsiTools}; without it nodes cannot reach iSCSI storage`,
      });
    warnings.push(...boardWarnings(image, schematic));
    if (users.length === 0 && nodes.length > 0 && image.name !== defaultImage)
      warnings.push({ path: image.path, reason: "is not used by any node" });
    problems.push(...overlayProblems(image, schematic, settings, users));
    const whole = imageSchema.safeParse(image.given).data;
    if (whole !== undefined) checked.set(image.name, { ...whole, schematic });
  }
  return checked;
}

/** The schematic; undefined where it is invalid, which is reported here unless the schema reports it. */
function readSchematic({ given, schematicPath }: GivenImage, problems: Problem[]): Schematic | undefined {
  const schematic = given.schematic ?? {
    customization: { systemExtensions: { officialExtensions: [iscsiTools] } },
  };
  try {
    return parseSchematic(schematic);
  } catch (error) {
    if (!(error instanceof SchematicError)) throw error;
    problems.push(
      ...error.problems.map(({ path, reason }) => ({
        path: path === "" ? schematicPath : `${schematicPath}.${path}`,
        reason,
      })),
    );
    return undefined;
  }
}

/** Overlays of siderolabs/overlays are for single-board computers: all of them arm64, on metal, without SecureBoot, as the factory's wizard offers them. */
function boardWarnings({ path, given }: GivenImage, { overlay }: Schematic): Problem[] {
  if (!/^siderolabs\/sbc-/.test(overlay?.image ?? "")) return [];
  const name = overlay?.name ?? "";
  const { architecture, platform, secureBoot } = imageSchema.safeParse(given).data ?? {};
  return [
    ...(architecture !== "amd64"
      ? []
      : [
          {
            path: `${path}.architecture`,
            reason: `is amd64, but the overlay ${name} is for arm64 boards, so the ISO, iPXE script and disk image would not boot; set it to arm64`,
          },
        ]),
    ...(platform === undefined || platform === "metal"
      ? []
      : [
          {
            path: `${path}.platform`,
            reason: `is ${platform}, but the overlay ${name} is for boards, whose platform is metal; set it to metal`,
          },
        ]),
    ...(secureBoot !== true
      ? []
      : [
          {
            path: `${path}.secureBoot`,
            reason: `is true, but the overlay ${name} is for boards, which have no SecureBoot; set it to false`,
          },
        ]),
  ];
}

/** The factory supports overlays from Talos 1.7 (siderolabs/image-factory internal/profile). */
function overlayProblems(
  { schematicPath }: GivenImage,
  { overlay }: Schematic,
  settings: GivenSettings,
  users: readonly GivenNode[],
): Problem[] {
  if (overlay?.name === undefined || overlay.name === "") return [];
  const old = users
    .map((node) => releaseOfNode(settings, node))
    .find((version) => version !== undefined && !versionAtLeast(version, 7));
  if (old === undefined) return [];
  return [
    {
      path: `${schematicPath}.overlay`,
      reason: `needs Talos v1.7 or newer; the factory cannot build ${old} with an overlay`,
    },
  ];
}
