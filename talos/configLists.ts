/** What identifies list items in a machine configuration: for Talos, by the rules of its types, and for people. */
import { canonicalText } from "./configMeaning.ts";
import { isLeaf, isTreeMap, textOf, type Tree } from "./configTree.ts";
import { shapeAt, type ItemsRule, type Shape } from "./mergeRules.ts";
import { isZero, scalarText } from "./scalars.ts";

/** The field that identifies an item, and its normalized value. */
export interface ItemKey {
  readonly by: string;
  readonly text: string;
}

/** What identifies an item by a rule or one of its fields; undefined for an item without an identity. */
export function itemKey(
  rule: ItemsRule,
  item: Tree,
  of: Shape | undefined,
  only?: string,
): ItemKey | undefined {
  if (!isTreeMap(item)) return undefined;
  for (const by of only === undefined ? rule.by : [only]) {
    const value = item.get(by);
    const shape = shapeAt(of, by);
    if (value === undefined || isZero(value, shape)) continue;
    const never = rule.never?.[by] ?? [];
    if (isTreeMap(value) && never.some((key) => !isZero(value.get(key), shapeAt(shape, key))))
      return undefined;
    const text =
      isLeaf(value) && shape?.kind === "scalar" ? scalarText(value, shape.type) : canonicalText(value, shape);
    return { by, text };
  }
  const by = only ?? rule.by[0];
  return rule.empty === true && by !== undefined ? { by, text: "" } : undefined;
}

/** What identifies an item of a list that Talos merges item by item; undefined for lists that only grow. */
export function mergeKey(list: Shape | undefined, item: Tree): string | undefined {
  if (list?.kind !== "list" || list.items === undefined) return undefined;
  const key = itemKey(list.items, item, list.of);
  return key === undefined ? undefined : `${key.by}=${key.text}`;
}

/** The fields of an item that Talos needs to find it. */
export function identifyingFields(list: Shape | undefined, item: Tree): [string, Tree][] {
  if (list?.kind !== "list" || list.items === undefined || !isTreeMap(item)) return [];
  const by = itemKey(list.items, item, list.of)?.by;
  const value = by === undefined ? undefined : item.get(by);
  return by === undefined || value === undefined ? [] : [[by, value]];
}

const TELLING = [
  ..."name interface device vlanId destination mountPath mountpoint path ip network url address endpoint image".split(
    " ",
  ),
];

/** What identifies an item for people; undefined if its index is best. */
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

/** A path extended by one key: `machine.network`, `NetworkRuleConfig.ingress`. */
export function pathOf(parent: string, key: string): string {
  return parent === "" ? key : `${parent}.${key}`;
}
