import { readFileSync } from "node:fs";
import { join } from "node:path";

/** A stack's state, as exported by the engine. */
export interface Deployment {
  version: number;
  deployment: { resources: StateResource[]; [key: string]: unknown };
}

export interface StateResource {
  urn: string;
  type: string;
  id?: string;
  parent?: string;
  provider?: string;
  inputs?: Record<string, unknown>;
  outputs?: Record<string, unknown>;
  dependencies?: string[];
  propertyDependencies?: Record<string, string[]>;
  [key: string]: unknown;
}

const nodeConfiguration = "$talos-node:index:NodeConfiguration::";

/**
 * The state as 0.1.0 would have left it: replaces each node's NodeConfiguration with the resources that 0.1.0 had, taken from a state written by 0.1.0.
 * `data/state-0.1.0.json` is the state of the lab's cluster after its first `up` with 0.1.0, with placeholders for everything that each lab generates.
 */
export function stateAsOf010({ version, deployment }: Deployment): Deployment {
  const { resources: written } = JSON.parse(
    readFileSync(join(import.meta.dirname, "data", "state-0.1.0.json"), "utf8"),
  ) as { resources: StateResource[] };
  const { resources } = deployment;
  const providers: Record<string, string> = {
    "talos-node": resources.find(({ type }) => type.startsWith("talos-node:"))?.provider ?? "",
    talos: resources.find(({ type }) => type.startsWith("talos:"))?.provider ?? "",
  };
  const before = (current: StateResource): StateResource[] => {
    const name = current.urn.split("::").at(-1);
    return written
      .filter(({ urn }) => urn.endsWith(`::${name}`))
      .map((resource) => fillState(resource, current.inputs ?? {}, providers));
  };
  const former = resources.flatMap((resource) =>
    resource.urn.includes(nodeConfiguration) ? before(resource) : [resource],
  );
  return { version, deployment: { ...deployment, resources: former.map(resourceAsOf010) } };
}

/** In 0.1.0, dependents of a node's configuration depended on its ConfigurationApply. */
function resourceAsOf010(resource: StateResource): StateResource {
  const text = JSON.stringify({
    dependencies: resource.dependencies,
    propertyDependencies: resource.propertyDependencies,
  });
  const renamed = text.replaceAll(
    nodeConfiguration,
    "$talos-iscsi:index:MachineConfiguration$talos:machine/configurationApply:ConfigurationApply::",
  );
  return { ...resource, ...(JSON.parse(renamed) as object) };
}

function fillState(
  resource: StateResource,
  values: Record<string, unknown>,
  providers: Record<string, string>,
): StateResource {
  const fill = (value: unknown): unknown => {
    if (typeof value === "string") {
      const [, provider] = /^\{\{provider (.*)\}\}$/.exec(value) ?? [];
      if (provider !== undefined) return providers[provider];
      const [, key] = /^\{\{(\w+)\}\}$/.exec(value) ?? [];
      if (key === undefined) return value;
      if (values[key] === undefined) throw new Error(`the state has no ${key} to put into that of 0.1.0`);
      return values[key];
    }
    if (Array.isArray(value)) return value.map(fill);
    if (typeof value !== "object" || value === null) return value;
    // Replace a secret as a whole: the value filled in is already a secret.
    if ("plaintext" in value) return fill(value.plaintext);
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, fill(part)]));
  };
  return fill(resource) as StateResource;
}
