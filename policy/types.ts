import { isRecord } from "../talos/values.ts";

/** Types of the resources that policies look at, and how to look into what a resource is given. */

export const nodeUpgradeType = "talos-node:index:NodeUpgrade";
export const storageProbeType = "talos-node:index:StorageProbe";
export const kubernetesUpgradeType = "talos-node:index:KubernetesUpgrade";
export const preflightType = "talos-node:index:RolloutPreflight";
export const machineConfigurationType = "talos-node:index:NodeConfiguration";
export const namespaceType = "kubernetes:core/v1:Namespace";
export const secretType = "kubernetes:core/v1:Secret";

const driverTypes = ["talos-iscsi:index:IscsiCsiDriver", "talos-iscsi:index:PrivilegedNamespace"];

/**
 * Does the resource belong to one of this program's CSI drivers, or to a namespace that its settings name for another? The URN has the types
 * of all its parents.
 */
export function isOfCsiDriver(urn: string): boolean {
  const types = (urn.split("::")[2] ?? "").split("$");
  return driverTypes.some((type) => types.includes(type));
}

/** A text inside of a value, and where it stands: `spec.template.spec.containers[0].image`. */
export interface Leaf {
  path: string;
  /** Name of the field that it stands in; of its list, for an item. */
  name: string;
  value: string | number;
}

/** Every text and number inside of a value. Fields of Pulumi's own (`__internal`) are passed over. */
export function* leaves(value: unknown, path = "", name = ""): Generator<Leaf> {
  if (typeof value === "string" || typeof value === "number") yield { path, name, value };
  else if (Array.isArray(value)) {
    for (const [index, item] of (value as unknown[]).entries())
      yield* leaves(item, `${path}[${index}]`, name);
  } else if (isRecord(value)) {
    for (const [key, item] of Object.entries(value)) {
      if (!key.startsWith("__")) yield* leaves(item, path === "" ? key : `${path}.${key}`, key);
    }
  }
}
