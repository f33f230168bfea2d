import type { Problem } from "../components/csi/problems.ts";
import { installerImage } from "../talos/image.ts";
import { parseSchematic, schematicId, SchematicError, type Schematic } from "../talos/schematic.ts";
import { parseVersion, versionAtLeast } from "../talos/version.ts";
import { defaultImage, imageSchema, type ImageSettings } from "./imageSettings.ts";
import { isRecord } from "../talos/values.ts";
import { valueAt, listAt } from "./raw.ts";
import { iscsiTools, textIfParsable } from "./parsable.ts";

/** Which images there are, and which node runs which. On settings as they were given, so that one run shows all mistakes. */

/** An image with its schematic read. */
export type CheckedImage = Omit<ImageSettings, "schematic"> & { schematic: Schematic };

/** Where an image is in the settings, and what it says with that of `image` for the rest. */
interface GivenImage {
  name: string;
  path: string;
  given: unknown;
  /** Where its schematic stands: that of `image` if it has none of its own. */
  schematicPath: string;
}

/** `image` and each of `images`. */
export function givenImages(raw: unknown): GivenImage[] {
  const base = valueAt(raw, "image");
  const named = valueAt(raw, "images");
  const shared = isRecord(base) ? base : {};
  return [
    { name: defaultImage, path: "image", given: base ?? {}, schematicPath: "image.schematic" },
    ...Object.entries(isRecord(named) ? named : {}).map(([name, own]) => {
      const path = `images.${name}`;
      const given = isRecord(own) ? { ...shared, ...own } : own;
      const schematicPath = valueAt(own, "schematic") === undefined ? "image.schematic" : `${path}.schematic`;
      return { name, path, given, schematicPath };
    }),
  ];
}

/** The name of the image that a node runs. */
export function imageNameOf(node: unknown): string {
  const name = valueAt(node, "image");
  return typeof name === "string" ? name : defaultImage;
}

/** The image that a node runs; undefined where the settings have none of that name, which is told elsewhere. */
export function givenImageOfNode(raw: unknown, node: unknown): GivenImage | undefined {
  return givenImages(raw).find(({ name }) => name === imageNameOf(node));
}

/** Does the node reach iSCSI storage? */
export function usesIscsi(node: unknown): boolean {
  return valueAt(node, "iscsi") !== false;
}

/** The names of official extensions that an image's schematic asks for; those of the default where it has none. */
export function givenExtensions({ given }: GivenImage): string[] {
  const extensions = listAt(given, "schematic", "customization", "systemExtensions", "officialExtensions");
  const names = extensions.filter((name) => typeof name === "string");
  return valueAt(given, "schematic") === undefined ? [iscsiTools] : names;
}

/** The official extensions of a schematic. */
export function schematicExtensions({ customization }: Schematic): readonly string[] {
  return customization?.systemExtensions?.officialExtensions ?? [];
}

/** The installer image that the settings give a node; undefined where they are not well formed, which is told elsewhere. */
export function givenInstaller(raw: unknown, node: unknown): string | undefined {
  const given = givenImageOfNode(raw, node);
  const image = given === undefined ? undefined : imageSchema.safeParse(given.given).data;
  const version = textIfParsable(valueAt(node, "talosVersion") ?? valueAt(raw, "talosVersion"), parseVersion);
  if (image === undefined || version === undefined) return undefined;
  try {
    return installerImage({ ...image, schematicId: schematicId(parseSchematic(image.schematic)), version });
  } catch (error) {
    if (error instanceof SchematicError) return undefined;
    throw error;
  }
}

/** Every image that is right, by name. What is wrong with the others, or with a node's choice of one, is added to the problems. */
export function checkImages(
  raw: unknown,
  problems: Problem[],
  warnings: Problem[],
): Map<string, CheckedImage> {
  const nodes = listAt(raw, "cluster", "nodes");
  const images = givenImages(raw);
  nodes.forEach((node, index) => {
    const name = imageNameOf(node);
    if (images.some((image) => image.name === name)) return;
    const known = images.map((image) => image.name).join(", ");
    problems.push({
      path: `cluster.nodes[${index}].image`,
      reason: `is ${name}, but there is no images.${name}; there are ${known}`,
    });
  });
  const checked = new Map<string, CheckedImage>();
  for (const image of images) {
    const users = nodes.filter((node) => imageNameOf(node) === image.name);
    const schematic = readSchematic(image, problems);
    if (schematic === undefined) continue;
    const needsIscsi = users.length === 0 || users.some(usesIscsi);
    if (needsIscsi && !schematicExtensions(schematic).includes(iscsiTools))
      problems.push({
        path: `${image.schematicPath}.customization.systemExtensions.officialExtensions`,
        reason: `has no ${iscsiTools}; without it nodes cannot reach iSCSI storage`,
      });
    warnings.push(...boardWarnings(image, schematic));
    if (users.length === 0 && nodes.length > 0 && image.name !== defaultImage)
      warnings.push({ path: image.path, reason: "is used by no node" });
    problems.push(...overlayProblems(image, schematic, raw, users));
    const settings = imageSchema.safeParse(image.given).data;
    if (settings !== undefined) checked.set(image.name, { ...settings, schematic });
  }
  return checked;
}

/** The schematic; undefined where it is none, which is said here unless the schema says so. */
function readSchematic({ given, schematicPath }: GivenImage, problems: Problem[]): Schematic | undefined {
  const schematic = valueAt(given, "schematic") ?? {
    customization: { systemExtensions: { officialExtensions: [iscsiTools] } },
  };
  if (!isRecord(given) || !isRecord(schematic)) return undefined;
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

/** Overlays of siderolabs/overlays are for single-board computers, all of them arm64. */
function boardWarnings({ path, given }: GivenImage, { overlay }: Schematic): Problem[] {
  if (!/^siderolabs\/sbc-/.test(overlay?.image ?? "") || valueAt(given, "architecture") === "arm64")
    return [];
  return [
    {
      path: `${path}.architecture`,
      reason: `is amd64, and the overlay ${overlay?.name ?? ""} is for arm64 boards, so that its ISO, iPXE script and disk image would not boot; set it to arm64`,
    },
  ];
}

/** The factory builds images with an overlay from Talos 1.7 on (siderolabs/image-factory internal/profile). */
function overlayProblems(
  { schematicPath }: GivenImage,
  { overlay }: Schematic,
  raw: unknown,
  users: readonly unknown[],
): Problem[] {
  if (overlay?.name === undefined || overlay.name === "") return [];
  const releases = users.map((node) => valueAt(node, "talosVersion") ?? valueAt(raw, "talosVersion"));
  const old = releases
    .map((version) => textIfParsable(version, parseVersion))
    .find((version) => version !== undefined && !versionAtLeast(version, 7));
  if (old === undefined) return [];
  return [
    {
      path: `${schematicPath}.overlay`,
      reason: `needs Talos v1.7 or newer; the factory builds no ${old} with an overlay`,
    },
  ];
}
