import semver from "semver";
import { clusterTypes } from "./clusterResources.ts";
import { kubernetesTypes } from "./kubernetesResources.ts";
import type { Machine } from "../machine/machine.ts";
import { machineTypes } from "./machineResources.ts";
import type { ResourceContent } from "../machine/resourceContent.ts";
import type { ResourceType } from "./resourceType.ts";

const metaType: ResourceType = {
  type: "ResourceDefinitions.meta.cosi.dev",
  namespace: "meta",
  codec: "ResourceDefinition",
  aliases: ["api-resources"],
  columns: [["Aliases", "{.aliases[:]}"]],
  contents: (node) => resourceTypes(node).map(definition),
};

const namespaceType: ResourceType = {
  type: "Namespaces.meta.cosi.dev",
  namespace: "meta",
  codec: "Namespace",
  aliases: ["ns"],
  contents: (node) =>
    [...namespaces(node)].map((id) => ({ id, spec: { description: "" }, message: { description: "" } })),
};

const allTypes = [metaType, namespaceType, ...machineTypes, ...clusterTypes, ...kubernetesTypes];

/** The types that the running release knows. */
export function resourceTypes(node: Machine): ResourceType[] {
  const { version } = node;
  return allTypes.filter(
    ({ since, until }) =>
      (since === undefined || semver.gte(version, since)) &&
      (until === undefined || semver.lt(version, until)),
  );
}

export function namespaces(node: Machine): Set<string> {
  return new Set([
    ...resourceTypes(node).map(({ namespace }) => namespace),
    "files",
    "perf",
    "secrets",
    "kubespan",
  ]);
}

/** `MachineStatuses` -> `MachineStatus`: type names are plural, tables show the singular. */
function singular(name: string): string {
  if (/(ss|us)es$/.test(name)) return name.slice(0, -2);
  return name.endsWith("ies") ? `${name.slice(0, -3)}y` : name.replace(/s$/, "");
}

/** The names that a user may type for a type (cosi-project/runtime resource_definition.go Fill). */
function definition({
  type,
  namespace,
  aliases = [],
  columns = [],
  sensitive,
}: ResourceType): ResourceContent {
  const [name = "", ...suffix] = type.split(".");
  const displayType = singular(name);
  const initials = name.replace(/[^A-Z]/g, "").toLowerCase();
  const own = [
    ...aliases,
    displayType.toLowerCase(),
    ...(initials.length > 1 ? [initials, ...(initials.endsWith("s") ? [] : [`${initials}s`])] : []),
  ];
  const qualified = suffix
    .slice(1)
    .map((_, index) => [name.toLowerCase(), ...suffix.slice(0, index + 1)].join("."));
  const allAliases = [name.toLowerCase(), ...qualified, ...own];
  return {
    id: type.toLowerCase(),
    spec: {
      type,
      displayType,
      defaultNamespace: namespace,
      aliases: own,
      allAliases,
      printColumns: columns.map(([column, jsonPath]) => ({ name: column, jsonPath })),
      ...(sensitive === true ? { sensitivity: "sensitive" } : {}),
    },
    message: {
      resourceType: type,
      displayType,
      defaultNamespace: namespace,
      aliases: own,
      allAliases,
      printColumns: columns.map(([column, jsonPath]) => ({ name: column, jsonPath })),
      sensitivity: sensitive === true ? 1 : 0,
    },
  };
}
