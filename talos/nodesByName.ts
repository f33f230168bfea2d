type Properties = Record<string, unknown>;

/**
 * Nodes of an input or a state by name: control planes first, then in natural name order. States of 0.1.0 have lists, and the engine doesn't preserve the order
 * of a map.
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
