/** A running configuration written as another one is, so that only what really differs differs line by line. */
import { pairItems } from "./configDiff.ts";
import { placeOf } from "./configLists.ts";
import {
  configText,
  documentLabel,
  isNothing,
  isTreeList,
  isTreeMap,
  parseConfig,
  sameMeaning,
  textOf,
  type Tree,
  type TreeMap,
} from "./configTree.ts";

/** The running configuration with the model's order, spelling and empty sections; the model's own text where both mean the same. */
export function alignConfig(running: string, model: string): string {
  const [has, wanted] = [parseConfig(running), parseConfig(model)];
  const known = wanted.flatMap((document): TreeMap[] => {
    const own = has.find((other) => documentLabel(other) === documentLabel(document));
    return own === undefined ? [] : [align(own, document, textOf(document, "kind") ?? "") as TreeMap];
  });
  const labels = new Set(wanted.map(documentLabel));
  return configText([...known, ...has.filter((document) => !labels.has(documentLabel(document)))]);
}

function align(has: Tree, model: Tree, place: string): Tree {
  if (sameMeaning(has, model)) return model;
  if (isTreeMap(has) && isTreeMap(model)) {
    const result = new Map<string, Tree>();
    for (const [key, value] of model) {
      const own = has.get(key);
      if (own !== undefined && !isNothing(own)) result.set(key, align(own, value, placeOf(place, key)));
      else if (isNothing(value)) result.set(key, value);
    }
    for (const [key, own] of has) if (!result.has(key) && !isNothing(own)) result.set(key, own);
    return result;
  }
  if (isTreeList(has) && isTreeList(model)) {
    return pairItems(has, model, place).flatMap(([own, other]): Tree[] => {
      if (own === undefined) return [];
      return [other === undefined ? own : align(own, other, `${place}[]`)];
    });
  }
  return has;
}
