import { z } from "zod";
import { introductions } from "./introductions.ts";
import { settingsSchema } from "./settingsSchema.ts";

/** The part of a JSON Schema that zod writes for the settings. */
export interface JsonSchema {
  type?: string | string[];
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  /** What every value of a mapping is, or whether there may be others. */
  additionalProperties?: JsonSchema | boolean;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  minimum?: number;
  maximum?: number;
  [keyword: string]: unknown;
}

/** The settings as JSON Schema of what a person may write (before defaults), with a description at every key. */
export function jsonSchemaOfSettings(): JsonSchema {
  const schema = z.toJSONSchema(settingsSchema, { io: "input", target: "draft-7", reused: "inline" });
  return withIntroductions(schema as JsonSchema, "");
}

/** What a name that a person chooses is called in paths: `images.NAME.schematic`. */
export const anyName = "NAME";

/** What the values of a mapping by name are; undefined for anything else. */
export function valueSchema({ additionalProperties }: JsonSchema): JsonSchema | undefined {
  return typeof additionalProperties === "object" ? additionalProperties : undefined;
}

/** The schema with the introductions of sections that say nothing about themselves. */
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
