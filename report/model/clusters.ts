/** Which cluster a resource belongs to: a program may have several, with nodes of the same name or address. */

interface Placed {
  urn: string;
  type: string;
  parent?: string | undefined;
}

const wholeCluster = "talos-iscsi:index:IscsiCluster";
const rollout = "talos-iscsi:index:RollingUpgrade";

/** The resources of one cluster, and those that may be of any. */
export interface ClusterResources<Resource> {
  /** Name of the component; empty in a program with a single cluster. */
  name: string;
  resources: Resource[];
}

/** Splits resources by cluster. What is outside of every component is in all of them. */
export function splitByCluster<Resource extends Placed>(
  resources: readonly Resource[],
): ClusterResources<Resource>[] {
  const clusterOf = clusterNames(resources);
  const names = [...new Set(resources.map(clusterOf))].filter((name) => name !== "");
  if (names.length === 0) return [{ name: "", resources: [...resources] }];
  return names.map((name) => ({
    name,
    resources: resources.filter((resource) => ["", name].includes(clusterOf(resource))),
  }));
}

/** Gives the cluster of a resource by name; empty in a program with a single cluster, and for what is outside of every component. */
export function clusterNames(resources: readonly Placed[]): (resource: Placed) => string {
  const parents = new Map(resources.map(({ urn, parent }) => [urn, parent]));
  const names = new Map(resources.map(({ urn }) => [urn, componentOf(urn, parents)]));
  const known = [...new Set([...names.values()].filter((name) => name !== undefined))];
  if (known.length < 2) return () => "";
  return ({ urn }) => names.get(urn) ?? (isInCluster(urn) ? namedAfter(urn, known) : "");
}

/** The name of the cluster's component, or of the rollout's where there is no whole cluster; undefined where the way there is not told. */
function componentOf(urn: string, parents: ReadonlyMap<string, string | undefined>): string | undefined {
  const component = isInCluster(urn) ? wholeCluster : rollout;
  let last = urn;
  for (let own: string | undefined = urn; own !== undefined; own = parents.get(own)) {
    if (typesOf(own).at(-1) === component) return nameOf(own);
    last = own;
  }
  return wholeCluster === component ? ownerOfPart(last) : undefined;
}

// A saved preview leaves out components that stay the same. Every part of a cluster is named after it.
function ownerOfPart(urn: string): string | undefined {
  if (!/\$talos-iscsi:index:(TalosCluster|RollingUpgrade)$/.test(typesOf(urn).join("$"))) return undefined;
  return nameOf(urn).replace(/-(cluster|upgrade)$/, "");
}

function namedAfter(urn: string, known: readonly string[]): string {
  const fitting = known.filter((name) => nameOf(urn).startsWith(`${name}-`));
  return fitting.toSorted((a, b) => b.length - a.length)[0] ?? "";
}

function isInCluster(urn: string): boolean {
  return typesOf(urn).includes(wholeCluster);
}

function typesOf(urn: string): string[] {
  return (urn.split("::")[2] ?? "").split("$");
}

function nameOf(urn: string): string {
  return urn.split("::").slice(3).join("::");
}
