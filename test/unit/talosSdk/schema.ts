import { readFileSync } from "node:fs";

/** The parts of a Pulumi package schema that the Talos provider uses. */
export interface Schema {
  name: string;
  pluginDownloadURL: string;
  config: { variables: Record<string, PropertySpec> };
  provider: ResourceSpec & { methods: Record<string, string> };
  types: Record<string, ObjectSpec>;
  resources: Record<string, ResourceSpec>;
  functions: Record<string, FunctionSpec>;
}

export interface PropertySpec {
  type?: string;
  $ref?: string;
  items?: PropertySpec;
  additionalProperties?: PropertySpec;
  secret?: boolean;
  deprecationMessage?: string;
}

export interface ObjectSpec {
  properties: Record<string, PropertySpec>;
  required?: string[];
  language?: { nodejs?: { requiredInputs?: string[]; requiredOutputs?: string[] } };
}

export interface ResourceSpec {
  properties?: Record<string, PropertySpec>;
  required?: string[];
  inputProperties?: Record<string, PropertySpec>;
  requiredInputs?: string[];
  stateInputs?: ObjectSpec;
  aliases?: { type: string }[];
}

export interface FunctionSpec {
  inputs: ObjectSpec;
  outputs: ObjectSpec;
}

/** The schema has no version, so this is the release that it was taken from. */
export const schemaVersion = "0.8.1";

export const schema = JSON.parse(
  readFileSync(new URL(`../data/pulumi-talos-${schemaVersion}-schema.json`, import.meta.url), "utf8"),
) as Schema;

/** Functions that a program calls, without the provider's methods. */
export const functions = Object.entries(schema.functions).filter(([token]) => token.startsWith("talos:"));
export const resources = Object.entries(schema.resources);

export interface TokenParts {
  /** The namespace of its types, for example `imageFactory`. */
  namespace: string;
  /** The module of the SDK, for example `imagefactory`. Pulumi's code generator writes it in lower case. */
  module: string;
  /** The class, function or type, as in the token. */
  member: string;
}

/** Parses a token such as `talos:imageFactory/schematic:Schematic`. */
export function parseToken(token: string): TokenParts {
  const match = /^talos:([^/]+)\/[^:]+:(.+)$/.exec(token);
  if (!match?.[1] || !match[2]) throw new Error(`not a token of the Talos provider: ${token}`);
  return { namespace: match[1], module: match[1].toLowerCase(), member: match[2] };
}

/** `getDisks` → `GetDisks`. */
export function pascal(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/** The token of a property's object type, if it has one. Both `#/types/` and `#types/` occur. */
export function referencedType(spec: PropertySpec): string | undefined {
  return spec.$ref === undefined ? undefined : /^#\/?types\/(.+)$/.exec(spec.$ref)?.[1];
}

/** A valid value for a property, different for each property. */
function sample(spec: PropertySpec, path: string): unknown {
  const type = referencedType(spec);
  if (type !== undefined) {
    const properties = Object.entries(schema.types[type]?.properties ?? {});
    return Object.fromEntries(
      properties.map(([name, property]) => [name, sample(property, `${path}.${name}`)]),
    );
  }
  if (spec.type === "array")
    return [sample(spec.items ?? {}, `${path}[0]`), sample(spec.items ?? {}, `${path}[1]`)];
  if (spec.type === "boolean") return true;
  if (spec.type === "integer") return path.length;
  if (spec.type === "string") return `value of ${path}`;
  throw new Error(`no sample for ${path}: ${JSON.stringify(spec)}`);
}

/** Valid values for all properties, by name. */
export function samples(properties: Record<string, PropertySpec>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(properties).map(([name, spec]) => [name, sample(spec, name)]));
}
