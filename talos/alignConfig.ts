/** Rewrites a running configuration in the style of another one, so that a line diff shows only real differences. */
import { pairItems } from "./configDiff.ts";
import { isNothingAt, sameMeaning } from "./configMeaning.ts";
import {
  configText,
  documentLabel,
  isTreeList,
  isTreeMap,
  parseConfig,
  textOf,
  type Tree,
  type TreeMap,
} from "./configTree.ts";
import { documentShape, itemShape, shapeAt, type Shape } from "./mergeRules.ts";

/** The running configuration with the model's order, spelling and empty sections; the model's own text if both mean the same. */
export function alignConfig(running: string, model: string): string {
  const [has, wanted] = [parseConfig(running), parseConfig(model)];
  const known = wanted.flatMap((document): TreeMap[] => {
    const own = has.find((other) => documentLabel(other) === documentLabel(document));
    return own === undefined
      ? []
      : [alignTree(own, document, documentShape(textOf(document, "kind") ?? "")) as TreeMap];
  });
  const labels = new Set(wanted.map(documentLabel));
  return configText([...known, ...has.filter((document) => !labels.has(documentLabel(document)))]);
}

function alignTree(has: Tree, model: Tree, shape: Shape | undefined): Tree {
  if (sameMeaning(has, model, shape)) return model;
  if (isTreeMap(has) && isTreeMap(model)) {
    const result = new Map<string, Tree>();
    for (const [key, value] of model) {
      const own = has.get(key);
      if (own !== undefined && !isNothingAt(own, shape, key))
        result.set(key, alignTree(own, value, shapeAt(shape, key)));
      else if (isNothingAt(value, shape, key)) result.set(key, value);
    }
    for (const [key, own] of has) if (!result.has(key) && !isNothingAt(own, shape, key)) result.set(key, own);
    return result;
  }
  if (isTreeList(has) && isTreeList(model)) {
    return pairItems(has, model, shape).flatMap(([own, other]): Tree[] => {
      if (own === undefined) return [];
      return [other === undefined ? own : alignTree(own, other, itemShape(shape))];
    });
  }
  return has;
}
