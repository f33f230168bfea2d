/** What tells the cluster of a resource. */
interface ClusterPart {
  type: string;
  urn: string;
  parent?: { type: string; urn: string; parent?: ClusterPart["parent"] } | undefined;
  props: Record<string, unknown>;
}

const wholeCluster = "talos-iscsi:index:IscsiCluster";

/**
 * Groups resources by cluster: a program may have several, even with the same addresses behind different endpoints. What belongs to one `IscsiCluster` is
 * one group. Other resources of one cluster have a control plane in common.
 */
export function byCluster<Resource extends ClusterPart>(resources: readonly Resource[]): Resource[][] {
  return [...Map.groupBy(resources, componentOf).values()].flatMap((members) => byControlPlanes(members));
}

function componentOf({ parent }: ClusterPart): string {
  for (let outer = parent; outer !== undefined; outer = outer.parent)
    if (outer.type === wholeCluster) return outer.urn;
  return "";
}

/** A worker's state may still name a control plane that was replaced since. All are one group if a resource names none. */
function byControlPlanes<Resource extends ClusterPart>(resources: readonly Resource[]): Resource[][] {
  let groups: { addresses: string[]; members: Resource[] }[] = [];
  for (const resource of resources) {
    const given: unknown = resource.props["controlPlanes"];
    const addresses = Array.isArray(given) ? given.filter((address) => typeof address === "string") : [];
    if (addresses.length === 0) return [[...resources]];
    const same = groups.filter((group) => group.addresses.some((address) => addresses.includes(address)));
    groups = [
      ...groups.filter((group) => !same.includes(group)),
      {
        addresses: [...new Set([...same.flatMap((group) => group.addresses), ...addresses])],
        members: [...same.flatMap(({ members }) => members), resource],
      },
    ];
  }
  return groups.map(({ members }) => members);
}
