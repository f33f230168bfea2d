import { nodePackage, nodeParts } from "../provider/nodeSchema.ts";
import {
  anyType,
  packageSpec,
  withChoices,
  type ObjectSpec,
  type PackageSpec,
  type PropertySpec,
  type TypeSpec,
} from "../provider/packageSpec.ts";
import { jsonSchemaOfSettings, type JsonSchema } from "../settings/jsonSchema.ts";

export const packageName = "talos-iscsi";
export const clusterToken = `${packageName}:index:IscsiCluster`;

const text: TypeSpec = { type: "string" };
const anyMap: TypeSpec = { type: "object", additionalProperties: anyType };

/** Descriptions of the outputs, as in IscsiClusterOutputs; outputs that a setting enables are not required. */
const outputs: Record<string, PropertySpec> = {
  schematicId: { ...text, description: "ID of the Image Factory's schematic." },
  installerImage: { ...text, description: "Installer image that the nodes run." },
  isoUrl: { ...text, description: "ISO that boots a new machine into maintenance mode." },
  pxeUrl: { ...text, description: "iPXE script that boots a new machine into maintenance mode." },
  images: { ...anyMap, description: "Every image by name. Absent without `images`." },
  endpoint: { ...text, description: "URL of the Kubernetes API." },
  talosconfig: { ...text, secret: true, description: "Admin credentials for talosctl." },
  kubeconfig: { ...text, secret: true, description: "Admin credentials for kubectl." },
  machineConfigurations: {
    ...anyMap,
    description:
      "Every node's machine configuration, redacted. Absent without `outputs.machineConfigurations`.",
  },
  nodes: { ...anyMap, description: "What each node runs, as it was read from the node itself." },
  etcdSnapshot: {
    ...anyMap,
    description: "The last snapshot of etcd. Absent without `upgrade.etcdSnapshot`.",
  },
  postponed: {
    type: "array",
    items: text,
    description: "Nodes that wait for an upgrade window. Absent without `upgrade.windows`.",
  },
  storageClasses: { type: "array", items: text, description: "StorageClasses that workloads can ask for." },
  storageProbe: {
    ...anyMap,
    description: "What the storage probes found last. Absent without `joviandss.probe` and `synology.probe`.",
  },
};

/**
 * The schema of the component package: IscsiCluster, whose inputs are a stack's settings, and the resources of `talos-node`. It is generated from the settings'
 * own schema, so a new setting is in every language's SDK.
 *
 * @param version of the plugin, and of `talos-node`.
 * @param pluginDownloadURL where the engine finds both plugins. Default: on PATH.
 */
export function clusterPackageSpec(version: string, pluginDownloadURL?: string): PackageSpec {
  const settings = jsonSchemaOfSettings();
  const types: Record<string, ObjectSpec> = {};
  const inputProperties = propertiesOf(settings, "", types);
  const cluster = {
    isComponent: true as const,
    description:
      "A Talos cluster with iSCSI storage: images, machine configurations, upgrades and CSI drivers. Every setting must be known when the program runs.",
    inputProperties,
    requiredInputs: settings.required ?? [],
    properties: outputs,
    required: Object.entries(outputs).flatMap(([name, { description = "" }]) =>
      description.includes("Absent") ? [] : [name],
    ),
  };
  return packageSpec(
    {
      name: packageName,
      version,
      displayName: "Talos iSCSI",
      description: "Talos Linux clusters with iSCSI storage: machine configurations, upgrades, CSI drivers.",
      allowedPackageNames: [nodePackage],
    },
    pluginDownloadURL,
    {
      types: { ...types, ...nodeParts.types },
      resources: { [clusterToken]: cluster, ...nodeParts.resources },
      functions: nodeParts.functions,
    },
  );
}

function propertiesOf(
  schema: JsonSchema,
  name: string,
  types: Record<string, ObjectSpec>,
): Record<string, PropertySpec> {
  return Object.fromEntries(
    Object.entries(schema.properties ?? {}).map(([key, child]) => [
      key,
      propertyOf(child, name + capitalize(key), types),
    ]),
  );
}

function propertyOf(schema: JsonSchema, name: string, types: Record<string, ObjectSpec>): PropertySpec {
  const type = typeOf(schema, name, types);
  const choices = schema.enum ?? (schema.const === undefined ? [] : [schema.const]);
  const description = withChoices(schema.description ?? "", choices);
  const scalar = ["string", "number", "integer", "boolean"].includes(type.type ?? "");
  const byDefault = schema.default;
  return {
    ...type,
    ...(description === "" ? {} : { description }),
    ...(scalar && isScalar(byDefault) ? { default: byDefault } : {}),
  };
}

/** @param name of the type that an object becomes: its path. */
function typeOf(schema: JsonSchema, name: string, types: Record<string, ObjectSpec>): TypeSpec {
  const options = schema.anyOf ?? schema.oneOf;
  if (options !== undefined) return unionOf(options, schema, name, types);
  if (schema.properties !== undefined) {
    const token = freeToken(name, types);
    types[token] = { type: "object", properties: {} }; // reserves the name before nested types ask for theirs
    types[token] = {
      type: "object",
      ...(schema.description === undefined ? {} : { description: schema.description }),
      properties: propertiesOf(schema, name, types),
      ...(schema.required === undefined ? {} : { required: schema.required }),
    };
    return { $ref: `#/types/${token}` };
  }
  if (schema.type === "array")
    return { type: "array", items: typeOf(schema.items ?? {}, singular(name), types) };
  if (schema.type === "object") {
    const inner = schema.additionalProperties;
    const open = typeof inner !== "object" || Object.keys(inner).length === 0;
    return { type: "object", additionalProperties: open ? anyType : typeOf(inner, singular(name), types) };
  }
  return typeof schema.type === "string" ? { type: schema.type } : anyType;
}

/** `image` becomes an Image, and an entry of `images` an ImageItem. */
function freeToken(name: string, types: Record<string, ObjectSpec>): string {
  const token = `${packageName}:index:${name}`;
  return types[token] === undefined ? token : freeToken(`${name}Item`, types);
}

/** Settings that depend on the value of one key become one object with all their keys: not every language supports Pulumi's unions of objects. */
function unionOf(
  options: readonly JsonSchema[],
  { description }: JsonSchema,
  name: string,
  types: Record<string, ObjectSpec>,
): TypeSpec {
  if (options.every(({ properties }) => properties !== undefined)) {
    const keys = [...new Set(options.flatMap(({ properties }) => Object.keys(properties ?? {})))];
    const merged = keys.map((key) => {
      const found = options.flatMap((option): JsonSchema[] => {
        const child = option.properties?.[key];
        return child === undefined ? [] : [child];
      });
      const choices = found.flatMap(
        (child) => child.enum ?? (child.const === undefined ? [] : [child.const]),
      );
      return [
        key,
        { ...found[0], ...(choices.length > 1 ? { const: undefined, enum: choices } : {}) },
      ] as const;
    });
    const required = keys.filter((key) => options.every((option) => option.required?.includes(key) ?? false));
    return typeOf(
      {
        type: "object",
        ...(description === undefined ? {} : { description }),
        properties: Object.fromEntries(merged),
        required,
      },
      name,
      types,
    );
  }
  const found = options.map((option) => typeOf(option, name, types));
  const distinct = [...new Map(found.map((type) => [JSON.stringify(type), type])).values()];
  const [only] = distinct;
  if (distinct.length === 1 && only !== undefined) return only;
  return distinct.every(({ type }) => type !== undefined && type !== "object" && type !== "array")
    ? { oneOf: distinct }
    : anyType;
}

function isScalar(value: unknown): value is string | number | boolean {
  return ["string", "number", "boolean"].includes(typeof value);
}

function capitalize(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/** `ClusterNodes` has items `ClusterNode`. */
function singular(name: string): string {
  if (name.endsWith("ies")) return `${name.slice(0, -3)}y`;
  if (/(ss|x)es$/.test(name)) return name.slice(0, -2);
  return name.endsWith("s") && !name.endsWith("ss") ? name.slice(0, -1) : `${name}Item`;
}
