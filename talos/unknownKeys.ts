import { isMap, isScalar, isSeq, type Node } from "yaml";
import { documentRule, itemShape, shapeAt, type Line, type Shape } from "./mergeRules.ts";
import { nearestName } from "./nearest.ts";
import { kindOf, type PatchDocument, type PatchProblem } from "./patchSource.ts";
import { versionAtLeast } from "./version.ts";

/**
 * Keys of a patch that Talos's own types don't have: Talos rejects the whole configuration because of one. The types are those of the machinery's lines 1.13
 * and 1.14; for an older release only likely typos are reported, since it may know keys that are gone.
 * @param talosVersion the node's desired release; undefined if unknown
 */
export function findUnknownKeys(part: PatchDocument, talosVersion: string | undefined): PatchProblem[] {
  const { kind } = kindOf(part);
  const lines: Line[] =
    talosVersion === undefined || !versionAtLeast(talosVersion, 13)
      ? ["v1.13", "v1.14"]
      : [versionAtLeast(talosVersion, 14) ? "v1.14" : "v1.13"];
  const strict = talosVersion !== undefined && versionAtLeast(talosVersion, 13);
  const shapes = lines.flatMap((line) => documentRule(kind, line)?.shape ?? []);
  const problems: PatchProblem[] = [];
  visit(part.root.contents ?? undefined, shapes, "");
  return problems;

  function visit(node: unknown, known: readonly Shape[], path: string): void {
    if (isSeq(node)) {
      const items = known.flatMap((shape) => itemShape(shape) ?? []);
      node.items.forEach((item, index) => visit(item, items, `${path}[${index}]`));
      return;
    }
    if (!isMap(node) || known.length === 0) return;
    for (const { key, value } of node.items) {
      const name = isScalar(key) ? String(key.value) : undefined;
      if (name === undefined || name === "$patch" || name === "<<") continue;
      const place = path === "" ? name : `${path}.${name}`;
      const below = known.flatMap((shape) => shapeAt(shape, name) ?? []);
      // The main document's sections are checked where their form is defined.
      if (below.length > 0 || (path === "" && kind === "")) visit(value, below, place);
      else if (known.every((shape) => shape.kind === "struct")) tell(key as Node, place, name, known);
    }
  }

  function tell(node: Node, place: string, name: string, known: readonly Shape[]): void {
    const names = known.flatMap((shape) => (shape.kind === "struct" ? [...shape.fields.keys()] : []));
    const meant = nearestName(names, name);
    if (meant === undefined && !strict) return;
    const hint = meant === undefined ? `; known keys: ${listNames(names)}` : `; did you mean ${meant}?`;
    problems.push(part.problem(node, `unknown key ${place}${hint}`));
  }
}

function listNames(names: readonly string[]): string {
  const all = [...new Set(names)].sort();
  return all.length <= 12 ? all.join(", ") : `${all.slice(0, 12).join(", ")} and ${all.length - 12} more`;
}
