import type { JsonSchema } from "../../settings/jsonSchema.ts";

const prefix = "talos-iscsi:";
const secure = { $ref: "#/definitions/secure" };
const fromEnvironment = { $ref: "#/definitions/fromEnvironment" };

/**
 * `settings.schema.json`: a whole `Pulumi.<stack>.yaml` for editors. Any text may also be encrypted or name an environment variable, and where an ESC environment is named,
 * keys may come from there.
 */
export function stackFileSchema(settings: JsonSchema): object {
  const keys = Object.keys(settings.properties ?? {});
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Pulumi.<stack>.yaml of talos-iscsi",
    type: "object",
    properties: {
      config: {
        type: "object",
        description: "The stack's settings: docs/settings.md.",
        properties: Object.fromEntries(
          Object.entries(settings.properties ?? {}).map(([name, schema]) => [
            prefix + name,
            maybeSecure(schema),
          ]),
        ),
        // A key of this project that is none of ours is a mistake; keys of providers and of Pulumi are theirs. A key may be a path.
        patternProperties: { [`^${prefix}(?!(${keys.join("|")})([.[]|$))`]: false },
      },
      environment: { description: "Pulumi ESC environments that give keys too." },
    },
    anyOf: [
      {
        type: "object",
        properties: { environment: { type: ["array", "object"] } },
        required: ["environment"],
      },
      { type: "object", properties: { config: withKeys(settings.required ?? []) }, required: ["config"] },
      // What `pulumi new` saves: a key for each answer.
      {
        type: "object",
        properties: { config: withKeys(["talosVersion", "cluster.name"]) },
        required: ["config"],
      },
    ],
    definitions: {
      secure: {
        type: "object",
        description: "A value that `pulumi config set --secret` encrypted.",
        properties: { secure: { type: "string" } },
        required: ["secure"],
        additionalProperties: false,
      },
      fromEnvironment: {
        type: "object",
        description: "The value of an environment variable, which a CI system hands over.",
        properties: { fromEnvironment: { type: "string", pattern: "^[A-Za-z_][A-Za-z0-9_]*$" } },
        required: ["fromEnvironment"],
        additionalProperties: false,
      },
    },
  };
}

/** A configuration that has these keys at least, whatever they say. */
function withKeys(names: string[]): JsonSchema {
  const keys = names.map((name) => prefix + name);
  return {
    type: "object",
    properties: Object.fromEntries(keys.map((key) => [key, { type: ["string", "object"] }])),
    required: keys,
  };
}

/** The schema, with every text in it open to an encrypted value and to an environment variable as well. */
function maybeSecure(schema: JsonSchema): JsonSchema {
  const inner: JsonSchema = { ...schema };
  if (inner.properties !== undefined) {
    inner.properties = Object.fromEntries(
      Object.entries(inner.properties).map(([name, child]) => [name, maybeSecure(child)]),
    );
  }
  if (inner.items !== undefined) inner.items = maybeSecure(inner.items);
  if (typeof inner.additionalProperties === "object")
    inner.additionalProperties = maybeSecure(inner.additionalProperties);
  for (const keyword of ["anyOf", "oneOf"] as const) {
    const options = inner[keyword];
    if (options !== undefined) inner[keyword] = options.map(maybeSecure);
  }
  // zod's own word, which means nothing to an editor.
  if (inner["format"] === "starts_with") delete inner["format"];
  const types = Array.isArray(inner.type) ? inner.type : [inner.type];
  if (!types.includes("string") || inner.const !== undefined || inner.enum !== undefined) return inner;
  const { description, default: byDefault, ...value } = inner;
  return {
    ...(description === undefined ? {} : { description }),
    ...(byDefault === undefined ? {} : { default: byDefault }),
    anyOf: [value, secure, fromEnvironment],
  };
}
