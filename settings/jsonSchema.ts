import { z } from "zod";
import { introductions } from "./introductions.ts";
import { settingsSchema } from "./settingsSchema.ts";

/** The subset of JSON Schema that zod writes for the settings. */
export interface JsonSchema {
  type?: string | string[];
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  /** The schema of a mapping's values, or whether other keys are allowed. */
  additionalProperties?: JsonSchema | boolean;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  minimum?: number;
  maximum?: number;
  [keyword: string]: unknown;
}

/** JSON Schema of the settings as written (before defaults), with a description of every key. */
export function jsonSchemaOfSettings(): JsonSchema {
  const schema = z.toJSONSchema(settingsSchema, { io: "input", target: "draft-7", reused: "inline" });
  return withIntroductions(schema as JsonSchema, "");
}

/** The placeholder in paths for a name that the user chooses: `images.NAME.schematic`. */
export const anyName = "NAME";

/** The schema of a mapping's values; undefined for anything else. */
export function valueSchema({ additionalProperties }: JsonSchema): JsonSchema | undefined {
  return typeof additionalProperties === "object" ? additionalProperties : undefined;
}

/** Adds introductions to sections without a description. */
function withIntroductions(schema: JsonSchema, path: string): JsonSchema {
  const description = schema.description ?? introductions[path];
  const byName = valueSchema(schema);
  return {
    ...(description === undefined ? {} : { description }),
    ...schema,
    ...(schema.properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            Object.entries(schema.properties).map(([name, child]) => [
              name,
              withIntroductions(child, joinPath(path, name)),
            ]),
          ),
        }),
    ...(byName === undefined
      ? {}
      : { additionalProperties: withIntroductions(byName, joinPath(path, anyName)) }),
    ...(schema.items === undefined ? {} : { items: withIntroductions(schema.items, `${path}[]`) }),
  };
}

/** Path of a key. */
export function joinPath(parent: string, name: string): string {
  return parent === "" ? name : `${parent}.${name}`;
}
