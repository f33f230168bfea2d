import type { JsonSchema } from "../../settings/jsonSchema.ts";

const prefix = "talos-iscsi:";
const secure = { $ref: "#/definitions/secure" };
const fromEnvironment = { $ref: "#/definitions/fromEnvironment" };

/**
 * `settings.schema.json`: the schema of a complete `Pulumi.<stack>.yaml`, for editors. Any string may also be encrypted or name an environment variable. If the file names an
 * ESC environment, required keys may come from there.
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
        // An unknown key in this project's namespace is a mistake. Keys of Pulumi and of providers are not checked. A key may be a path.
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
      // `pulumi new` saves one key per answer.
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

/** A configuration that has at least these keys, with any values. */
function withKeys(names: string[]): JsonSchema {
  const keys = names.map((name) => prefix + name);
  return {
    type: "object",
    properties: Object.fromEntries(keys.map((key) => [key, { type: ["string", "object"] }])),
    required: keys,
  };
}

/** The schema, extended so that every string may also be an encrypted value or an environment variable. */
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
  // A zod-specific format that editors don't know.
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
