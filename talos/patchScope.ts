/** Which values of a machine configuration a set of patches changes on purpose: those may differ from what a node has. */
import { configDifferences, type Difference } from "./configDiff.ts";
import { itemLabel, pathOf } from "./configLists.ts";
import {
  documentLabel,
  isTreeList,
  isTreeMap,
  parseTree,
  textOf,
  type Tree,
  type TreeMap,
} from "./configTree.ts";
import { pointerKeys } from "./jsonPatch.ts";
import { documentShape, itemShape, shapeAt, type Shape } from "./mergeRules.ts";
import { isDeletion } from "./patchDeletes.ts";

/** Determines whether a patch causes a difference on purpose. */
export function patchScope(
  patches: readonly string[],
): (difference: Pick<Difference, "path" | "change">) => boolean {
  const trees = patches.flatMap((patch) => parseTree(patch));
  const values = new Set<string>();
  const sections: string[] = [];
  for (const tree of trees) {
    if (isTreeList(tree)) {
      for (const operation of tree) {
        for (const key of ["path", "from"]) {
          const pointer = textOf(operation, key);
          if (pointer !== undefined)
            sections.push(
              pointerKeys(pointer)
                .filter((name) => !/^(?:-|\d+)$/.test(name))
                .join("."),
            );
        }
      }
    } else if (isTreeMap(tree)) {
      for (const { path } of configDifferences([], [tree])) values.add(path);
      sections.push(
        ...replacedSections(tree, documentLabel(tree), documentShape(textOf(tree, "kind") ?? "")),
      );
    }
  }
  return ({ path, change }) => {
    if (sections.some((section) => isWithin(path, section))) return true;
    // A patch only adds to a list, so it never explains a loss inside one. It does explain a value that became a list or a section.
    if (change === "lost") return [...values].some((value) => value !== path && isWithin(value, path));
    return values.has(path);
  };
}

/** Whether the path is the section itself or inside it. */
export function isWithin(path: string, section: string): boolean {
  return path === section || (path.startsWith(section) && /^[.[]/.test(path.slice(section.length)));
}

/** Sections that a patch removes or replaces as a whole. */
function replacedSections(tree: Tree, path: string, shape: Shape | undefined): string[] {
  if (isDeletion(tree)) return [path];
  if (isTreeList(tree))
    return tree.some(isDeletion) ? [path] : tree.flatMap((item) => replacedSectionsOfItem(item, path, shape));
  if (!isTreeMap(tree)) return [];
  return [...(tree as TreeMap)].flatMap(([key, value]) => {
    const inner = pathOf(path, key);
    const replaced = shape?.kind === "struct" && shape.fields.get(key)?.replace === true;
    const copied = shape?.kind === "map" && shape.copy;
    return replaced || copied ? [inner] : replacedSections(value, inner, shapeAt(shape, key));
  });
}

function replacedSectionsOfItem(item: Tree, path: string, list: Shape | undefined): string[] {
  const replaces = list?.kind === "list" && list.items?.then === "replace";
  return replaces ? [`${path}[${itemLabel(item) ?? ""}]`] : replacedSections(item, path, itemShape(list));
}
