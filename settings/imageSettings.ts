import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { sectionSchema } from "../components/csi/fields.ts";
import { isUrl } from "./hosts.ts";
import { flagSchema, must } from "./messages.ts";

/** Schemas of `image` and `images`. */

const factorySchema = z
  .string(must("the Image Factory's URL"))
  .refine(
    (text) => isUrl(text, ["https", "http"]),
    must("a URL with only scheme and host, such as https://factory.talos.dev"),
  );
const platformSchema = z
  .string(must("a Talos platform such as metal"))
  .regex(/^[a-z0-9-]+$/, must("a Talos platform such as metal, nocloud or vmware"));
const architectureSchema = z.enum(["amd64", "arm64"], must("amd64 or arm64"));
const schematicSchema = z.record(z.string(), z.unknown(), must("the Image Factory's schematic as a mapping"));

const describedAs = {
  factory: "Image Factory URL.",
  platform: "Talos platform: metal, nocloud, vmware, …",
  architecture: "Architecture of ISO, iPXE script and disk image.",
  secureBoot: "Use SecureBoot images.",
  schematic: "Image Factory schematic: extensions, kernel arguments, overlay.",
} as const;
/** Describes a key of a named image, which defaults to that of `image`. */
const describeLikeImage = "Default: from `image`.";

/** `image`: the image of every node that names no other. */
export const imageSchema = sectionSchema({
  factory: factorySchema.default("https://factory.talos.dev").describe(describedAs.factory),
  platform: platformSchema.default("metal").describe(describedAs.platform),
  architecture: architectureSchema.default("amd64").describe(describedAs.architecture),
  secureBoot: flagSchema().default(false).describe(describedAs.secureBoot),
  schematic: schematicSchema
    .default({ customization: { systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools"] } } })
    .describe(describedAs.schematic),
});

/** The name of `image` in messages and outputs; no other image may use it. */
export const defaultImage = "default";

const nameText = "an image's name: lowercase letters, digits and dashes, at most 40";

/** The name of one of `images`. */
export const imageNameSchema = z
  .string(must(nameText))
  .regex(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/, must(nameText));

/** `images`: additional images by name. */
export const namedImagesSchema = z
  .record(
    imageNameSchema.refine((name) => name !== defaultImage),
    sectionSchema({
      factory: factorySchema.optional().describe(describeLikeImage),
      platform: platformSchema.optional().describe(describeLikeImage),
      architecture: architectureSchema.optional().describe(describeLikeImage),
      secureBoot: flagSchema().optional().describe(describeLikeImage),
      schematic: schematicSchema.optional().describe(describeLikeImage),
    }),
    {
      error: ({ code, input }) =>
        code !== "invalid_key"
          ? must("a mapping of images by name").error({ input })
          : isDeepStrictEqual(input, defaultImage)
            ? `${defaultImage} is reserved for image; choose another name`
            : must(nameText).error({ input }),
    },
  )
  .default({})
  .describe("More images by name. Missing keys come from `image`.");

/** An image's settings with every default filled in. */
export type ImageSettings = z.output<typeof imageSchema>;
