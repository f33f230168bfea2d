type Properties = Record<string, unknown>;

/**
 * Nodes of an input or of a state, by their names: control planes first, then by name as people sort them. States of 0.1.0 have lists, and a map has
 * no order on its way through the engine.
 */
export function nodesByName(nodes: unknown): [name: string, node: Properties][] {
  if (typeof nodes !== "object" || nodes === null) return [];
  if (Array.isArray(nodes)) {
    return (nodes as Properties[]).map((node) => [String(node["name"]), node]);
  }
  const named = Object.entries(nodes as Record<string, Properties>).map(
    ([name, node]): [string, Properties] => [name, { ...node, name }],
  );
  return named.sort(([a, one], [b, other]) => rank(one) - rank(other) || compareNames(a, b));
}

const compareNames = new Intl.Collator("en", { numeric: true }).compare;
const rank = ({ role }: Properties): number => (role === "controlplane" ? 0 : 1);
