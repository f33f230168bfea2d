/** A type in Pulumi's package schema. */
export interface TypeSpec {
  type?: string;
  $ref?: string;
  items?: TypeSpec;
  additionalProperties?: TypeSpec;
  oneOf?: TypeSpec[];
}

export interface PropertySpec extends TypeSpec {
  description?: string;
  default?: string | number | boolean;
  secret?: boolean;
}

export interface ObjectSpec {
  type: "object";
  description?: string;
  properties: Record<string, PropertySpec>;
  required?: string[];
}

export interface ResourceSpec extends Omit<ObjectSpec, "type"> {
  isComponent?: true;
  inputProperties: Record<string, PropertySpec>;
  requiredInputs: string[];
}

export interface FunctionSpec {
  description: string;
  inputs: ObjectSpec;
  outputs: ObjectSpec;
}

/** The contents of a package. */
export interface PackageParts {
  types: Record<string, ObjectSpec>;
  resources: Record<string, ResourceSpec>;
  functions: Record<string, FunctionSpec>;
}

/** The parts of Pulumi's package schema that this project's packages need. */
export interface PackageSpec extends PackageParts {
  name: string;
  version: string;
  displayName: string;
  description: string;
  license: string;
  pluginDownloadURL?: string;
  /** Other packages whose tokens the schema may use. */
  allowedPackageNames?: string[];
  meta: { supportPack: true };
  language: Record<string, object>;
}

export const anyType: TypeSpec = { $ref: "pulumi.json#/Any" };

/** Adds the allowed values of a string to its description. */
export function withChoices(description: string, choices: readonly unknown[]): string {
  if (typeof choices[0] !== "string") return description;
  const listed = `One of ${choices.map((choice) => `\`${String(choice)}\``).join(", ")}.`;
  return description === "" ? listed : `${description} ${listed}`;
}

/** A package of this project. */
export function packageSpec(
  about: Pick<PackageSpec, "name" | "version" | "displayName" | "description" | "allowedPackageNames">,
  pluginDownloadURL: string | undefined,
  parts: PackageParts,
): PackageSpec {
  const languages = ["nodejs", "go", "python", "csharp"];
  return {
    ...about,
    license: "Apache-2.0",
    ...(pluginDownloadURL === undefined ? {} : { pluginDownloadURL }),
    meta: { supportPack: true },
    language: Object.fromEntries(languages.map((language) => [language, { respectSchemaVersion: true }])),
    ...parts,
  };
}
