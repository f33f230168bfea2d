/** How Talos merges the lists of a machine configuration (siderolabs/talos pkg/machinery/config/merge and the `merge` tags of its types). */
import { canonical, isTreeMap, textOf, type Tree } from "./configTree.ts";

/** A path without the items' labels: `machine.network.interfaces[].addresses`, `NetworkRuleConfig.ingress`. */
export type Place = string;

const REPLACED: ReadonlySet<Place> = new Set([
  "cluster.network.podSubnets",
  "cluster.network.serviceSubnets",
  "KubeNetworkConfig.podSubnets",
  "KubeNetworkConfig.serviceSubnets",
  "NetworkRuleConfig.ingress",
  "NetworkRuleConfig.portSelector.ports",
]);

/** Parts that a patch replaces as a whole. */
export function isReplaced(place: Place): boolean {
  return REPLACED.has(place) || place === "cluster.apiServer.auditPolicy";
}

/** What tells an item of a list whose items Talos merges one by one; undefined for lists that only grow. */
export function mergeKey(place: Place, item: Tree): string | undefined {
  if (!isTreeMap(item)) return undefined;
  if (place === "machine.network.interfaces") {
    const name = textOf(item, "interface");
    const selector = item.get("deviceSelector");
    return name ?? (selector === undefined ? undefined : canonical(selector));
  }
  if (place === "machine.network.interfaces[].vlans") return textOf(item, "vlanId");
  if (place === "cluster.apiServer.admissionControl") return textOf(item, "name");
  if (place === "ExtensionServiceConfig.configFiles") return textOf(item, "mountPath");
  return undefined;
}

const TELLING = [
  ..."name interface device vlanId destination mountPath mountpoint path ip network url address endpoint".split(
    " ",
  ),
];

/** What tells an item for people; undefined where it is best told by its place. */
export function itemLabel(item: Tree): string | undefined {
  if (!isTreeMap(item)) return undefined;
  for (const key of TELLING) {
    const text = textOf(item, key);
    if (text !== undefined) return text;
  }
  const selector = item.get("deviceSelector");
  if (!isTreeMap(selector)) return undefined;
  return [...selector.keys()]
    .map((key) => textOf(selector, key))
    .filter((text) => text !== undefined)
    .join(",");
}

export function placeOf(parent: Place, key: string): Place {
  return parent === "" ? key : `${parent}.${key}`;
}
