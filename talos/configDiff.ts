/** Compares two machine configurations by path; formatting doesn't matter. */
import { itemLabel, mergeKey, pathOf } from "./configLists.ts";
import { canonicalText, isNothingAt } from "./configMeaning.ts";
import {
  documentLabel,
  isLeaf,
  isNull,
  isTreeList,
  isTreeMap,
  textOf,
  type Leaf,
  type Tree,
  type TreeMap,
} from "./configTree.ts";
import { documentShape, itemShape, shapeAt, type Shape } from "./mergeRules.ts";

/** A value that is in one configuration and missing or different in the other, or a list whose items are only in another order. */
export interface Difference {
  /** `machine.network.interfaces[eth0].mtu`, `HostnameConfig.hostname`, `UserVolumeConfig[data].provisioning.minSize`. */
  readonly path: string;
  readonly change: "gained" | "changed" | "lost" | "reordered";
  /** The keys that lead to the value, which tell its type. */
  readonly keys: readonly string[];
  /** Its document's kind; undefined for the v1alpha1 one. */
  readonly kind: string | undefined;
  readonly before: Leaf | undefined;
  /** Of a reordered list: where its items were before, `2, 1`. */
  readonly after: Leaf | undefined;
}

interface Where {
  readonly path: string;
  readonly shape: Shape | undefined;
  readonly keys: readonly string[];
  readonly kind: string | undefined;
}

/** All differences, document by document, in the order of `after`, lost values last. */
export function configDifferences(before: readonly TreeMap[], after: readonly TreeMap[]): Difference[] {
  const labels = [...new Set([...after, ...before].map(documentLabel))];
  return labels.flatMap((label) => {
    const [old, wanted] = [before, after].map((documents) =>
      documents.find((document) => documentLabel(document) === label),
    );
    const kind = textOf(wanted ?? old, "kind");
    const where = { path: label, shape: documentShape(kind ?? ""), keys: [], kind };
    const isAsWritten =
      canonicalText(old, where.shape, "as written") === canonicalText(wanted, where.shape, "as written");
    return isAsWritten && (old === undefined) === (wanted === undefined)
      ? []
      : [...compareTrees(old, wanted, where), ...orderDifferences(old, wanted, where)];
  });
}

/** Lists that Talos and Kubernetes read as sets. In any other, places may matter: name servers, mirrors, mounts, subnets of two families. */
const sets: ReadonlySet<string> = new Set([
  ...["certSANs", "modules", "namespaces", "usernames", "runtimeClasses"],
  ...["allowedRoles", "allowedKubernetesNamespaces"],
]);

function isSet({ shape, keys }: Where): boolean {
  if (sets.has(keys.at(-1) ?? "")) return true;
  // Found by their names, such as interfaces.
  return shape?.kind === "list" && shape.items?.then === "merge";
}

/** Lists with the same items in another order. */
function orderDifferences(before: Tree | undefined, after: Tree | undefined, where: Where): Difference[] {
  if (isTreeMap(before) && isTreeMap(after))
    return [...after].flatMap(([key, value]) => orderDifferences(before.get(key), value, inKey(where, key)));
  if (!isTreeList(before) || !isTreeList(after)) return [];
  const shape = itemShape(where.shape);
  const [had, gets] = [before, after].map((list) =>
    list.filter((item) => !isNull(item)).map((item) => canonicalText(item, shape)),
  ) as [string[], string[]];
  const isReordered =
    !isSet(where) && had.join() !== gets.join() && [...had].sort().join() === [...gets].sort().join();
  if (!isReordered)
    return pairItems(before, after, where.shape).flatMap(([a, b]) =>
      orderDifferences(a, b, inItem(where, b ?? a)),
    );
  const { shape: _shape, ...rest } = where;
  const left: (string | undefined)[] = [...had];
  const places = gets.map((item) => {
    const place = left.indexOf(item);
    left[place] = undefined;
    return place + 1;
  });
  return [
    { ...rest, change: "reordered", before: undefined, after: { text: places.join(", "), plain: true } },
  ];
}

function compareTrees(before: Tree | undefined, after: Tree | undefined, where: Where): Difference[] {
  const [old, wanted] = [before, after];
  if (
    canonicalText(old, where.shape) === canonicalText(wanted, where.shape) &&
    (old === undefined) === (wanted === undefined)
  )
    return [];
  if (isLeaf(old ?? wanted) && isLeaf(wanted ?? old)) {
    const { shape: _shape, ...rest } = where;
    const change = old === undefined ? "gained" : wanted === undefined ? "lost" : "changed";
    return [{ ...rest, change, before: old as Leaf | undefined, after: wanted as Leaf | undefined }];
  }
  const inner =
    isTreeMap(old ?? wanted) && isTreeMap(wanted ?? old)
      ? mapDifferences(old, wanted, where)
      : isTreeList(old ?? wanted) && isTreeList(wanted ?? old)
        ? listDifferences(old, wanted, where)
        : undefined;
  // A section became a list, or a list a single value.
  if (inner === undefined)
    return [...compareTrees(old, undefined, where), ...compareTrees(undefined, wanted, where)];
  // An empty section is present or not: `tpm: {}`.
  if (inner.length === 0 && (old === undefined || wanted === undefined))
    return compareTrees(emptyLeaf(old), emptyLeaf(wanted), where);
  return inner;
}

/** An empty section or list as written. */
function emptyLeaf(tree: Tree | undefined): Leaf | undefined {
  return tree === undefined ? undefined : { text: isTreeList(tree) ? "[]" : "{}", plain: true };
}

function mapDifferences(before: Tree | undefined, after: Tree | undefined, where: Where): Difference[] {
  const [old, wanted] = [before, after].map((tree) => (isTreeMap(tree) ? tree : new Map<string, Tree>()));
  const keys = [...new Set([...(wanted?.keys() ?? []), ...(old?.keys() ?? [])])];
  return keys.flatMap((key) => {
    const [own, other] = [old, wanted].map((tree) => {
      const value = tree?.get(key);
      return isNothingAt(value, where.shape, key) ? undefined : value;
    });
    if (own === undefined && other === undefined) return [];
    return compareTrees(own, other, inKey(where, key));
  });
}

function inKey(where: Where, key: string): Where {
  return {
    ...where,
    path: pathOf(where.path, key),
    shape: shapeAt(where.shape, key),
    keys: [...where.keys, key],
  };
}

function inItem(where: Where, item: Tree | undefined): Where {
  const label = item === undefined || isLeaf(item) ? "" : (listItemLabel(item, where.shape) ?? "");
  // An item's name tells the type of its value, too: { name: API_TOKEN, value: … }.
  const keys = label === "" ? where.keys : [...where.keys, label];
  return { ...where, path: `${where.path}[${label}]`, shape: itemShape(where.shape), keys };
}

function listDifferences(before: Tree | undefined, after: Tree | undefined, where: Where): Difference[] {
  const [old, wanted] = [before, after].map((tree) => (isTreeList(tree) ? tree : []));
  const shape = itemShape(where.shape);
  const rest = pairItems(old ?? [], wanted ?? [], where.shape).filter(
    ([a, b]) => a === undefined || b === undefined || canonicalText(a, shape) !== canonicalText(b, shape),
  );
  return rest.flatMap(([a, b]) => compareTrees(a, b, inItem(where, b ?? a)));
}

/** Pairs the corresponding items of two lists, in the order of the second, then those only in the first. */
export function pairItems(
  before: readonly Tree[],
  after: readonly Tree[],
  list: Shape | undefined,
): [Tree | undefined, Tree | undefined][] {
  const left = [...before];
  const shape = itemShape(list);
  const take = (fits: (item: Tree) => boolean): Tree | undefined => {
    const at = left.findIndex(fits);
    return at < 0 ? undefined : left.splice(at, 1)[0];
  };
  // Equal items belong together, whatever else has the same name.
  const equal = after.map((item) =>
    take((other) => canonicalText(other, shape) === canonicalText(item, shape)),
  );
  const pairs = after.map((item, index): [Tree | undefined, Tree | undefined] => {
    const label = listItemLabel(item, list);
    const same =
      equal[index] ??
      (label === undefined ? undefined : take((other) => listItemLabel(other, list) === label));
    return [same, item];
  });
  return [...pairs, ...left.map((item): [Tree, undefined] => [item, undefined])];
}

function listItemLabel(item: Tree, list: Shape | undefined): string | undefined {
  const key = mergeKey(list, item);
  return key === undefined ? itemLabel(item) : (itemLabel(item) ?? key);
}
