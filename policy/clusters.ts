/**
 * Groups resources by cluster: a program may have several, and those of one cluster have a control plane in common. A worker's state may still name
 * a control plane that was replaced since. All are one group if a resource names none.
 */
export function byCluster<Resource extends { props: Record<string, unknown> }>(
  resources: readonly Resource[],
): Resource[][] {
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
