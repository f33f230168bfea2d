/** What two machine configurations have in common and where they differ, by path; how a text is written does not matter. */
import { itemLabel, mergeKey, placeOf } from "./configLists.ts";
import {
  canonical,
  documentLabel,
  isLeaf,
  isNothing,
  isTreeList,
  isTreeMap,
  textOf,
  type Leaf,
  type Tree,
  type TreeMap,
} from "./configTree.ts";

/** One value that is in one configuration and not, or differently, in the other. */
export interface Difference {
  /** `machine.network.interfaces[eth0].mtu`, `HostnameConfig.hostname`, `UserVolumeConfig[data].provisioning.minSize`. */
  readonly path: string;
  readonly change: "gained" | "changed" | "lost";
  /** The keys that lead to the value, for whoever has to know what kind of value it is. */
  readonly keys: readonly string[];
  /** The kind of its document; undefined for the v1alpha1 one. */
  readonly kind: string | undefined;
  readonly before: Leaf | undefined;
  readonly after: Leaf | undefined;
}

interface Where {
  readonly path: string;
  readonly place: string;
  readonly keys: readonly string[];
  readonly kind: string | undefined;
}

/** All differences, document by document, in the order of `after` with what is lost behind. */
export function configDifferences(before: readonly TreeMap[], after: readonly TreeMap[]): Difference[] {
  const labels = [...new Set([...after, ...before].map(documentLabel))];
  return labels.flatMap((label) => {
    const [old, wanted] = [before, after].map((documents) =>
      documents.find((document) => documentLabel(document) === label),
    );
    const kind = textOf(wanted ?? old, "kind");
    return differences(old, wanted, { path: label, place: kind ?? "", keys: [], kind });
  });
}

function differences(before: Tree | undefined, after: Tree | undefined, where: Where): Difference[] {
  const [old, wanted] = [something(before), something(after)];
  if (canonical(old) === canonical(wanted)) return [];
  if (isTreeMap(old ?? wanted) && isTreeMap(wanted ?? old)) return mapDifferences(old, wanted, where);
  if (isTreeList(old ?? wanted) && isTreeList(wanted ?? old)) return listDifferences(old, wanted, where);
  if (isLeaf(old ?? wanted) && isLeaf(wanted ?? old)) {
    const { place: _place, ...rest } = where;
    const change = old === undefined ? "gained" : wanted === undefined ? "lost" : "changed";
    return [{ ...rest, change, before: old as Leaf | undefined, after: wanted as Leaf | undefined }];
  }
  // A section became a list, or a list a single value.
  return [...differences(old, undefined, where), ...differences(undefined, wanted, where)];
}

function mapDifferences(before: Tree | undefined, after: Tree | undefined, where: Where): Difference[] {
  const [old, wanted] = [before, after].map((tree) => (isTreeMap(tree) ? tree : new Map<string, Tree>()));
  const keys = [...new Set([...(wanted?.keys() ?? []), ...(old?.keys() ?? [])])];
  return keys.flatMap((key) =>
    differences(old?.get(key), wanted?.get(key), {
      ...where,
      path: placeOf(where.path, key),
      place: placeOf(where.place, key),
      keys: [...where.keys, key],
    }),
  );
}

function listDifferences(before: Tree | undefined, after: Tree | undefined, where: Where): Difference[] {
  const [old, wanted] = [before, after].map((tree) => (isTreeList(tree) ? tree : []));
  const rest = pairItems(old ?? [], wanted ?? [], where.place).filter(
    ([a, b]) => canonical(a) !== canonical(b),
  );
  return rest.flatMap(([a, b]) => {
    const item = b ?? a;
    const label = item === undefined || isLeaf(item) ? "" : (labelOf(item, where.place) ?? "");
    // An item's name tells what kind of value is in it, too: { name: API_TOKEN, value: … }.
    const keys = label === "" ? where.keys : [...where.keys, label];
    return differences(a, b, { ...where, path: `${where.path}[${label}]`, place: `${where.place}[]`, keys });
  });
}

/** Items of two lists that stand for the same thing, in the order of the second, then those of the first alone. */
export function pairItems(
  before: readonly Tree[],
  after: readonly Tree[],
  place: string,
): [Tree | undefined, Tree | undefined][] {
  const left = [...before];
  const take = (fits: (item: Tree) => boolean): Tree | undefined => {
    const at = left.findIndex(fits);
    return at < 0 ? undefined : left.splice(at, 1)[0];
  };
  // What is equal belongs together, whatever else has the same name.
  const equal = after.map((item) => take((other) => canonical(other) === canonical(item)));
  const pairs = after.map((item, index): [Tree | undefined, Tree | undefined] => {
    const label = labelOf(item, place);
    const same =
      equal[index] ?? (label === undefined ? undefined : take((other) => labelOf(other, place) === label));
    return [same, item];
  });
  return [...pairs, ...left.map((item): [Tree, undefined] => [item, undefined])];
}

function labelOf(item: Tree, place: string): string | undefined {
  return mergeKey(place, item) === undefined ? itemLabel(item) : (itemLabel(item) ?? mergeKey(place, item));
}

function something(tree: Tree | undefined): Tree | undefined {
  return tree === undefined || isNothing(tree) ? undefined : tree;
}
