import { isRecord } from "../../talos/values.ts";
import { parseVersion, VersionError } from "../../talos/version.ts";
import type { Hop, KubernetesOnPath } from "./path.ts";

/** The input `hops` of what looks at all nodes: each way once, and which node goes it. */
export interface HopsInput {
  /** Releases by the name of the way, oldest first. */
  ways: Record<string, Hop[]>;
  nodes: Record<string, { way: string; after: string[] }>;
  /** How Kubernetes is upgraded where the way needs it. Absent: such a way is refused. */
  kubernetes?: KubernetesOnPath;
}

const isTextList = (value: unknown): boolean =>
  Array.isArray(value) && value.every((item) => typeof item === "string" && item !== "");

/** What is wrong with the input; undefined where nothing is. The program makes it; this is for programs that use the resource by itself. */
export function hopsProblem(value: unknown): string | undefined {
  if (!isRecord(value) || !isRecord(value["ways"]) || !isRecord(value["nodes"]))
    return `must be { ways, nodes }, not ${JSON.stringify(value)}`;
  const { ways, nodes, kubernetes } = value;
  if (kubernetes !== undefined) {
    const releases = isRecord(kubernetes) ? kubernetes["releases"] : undefined;
    if (!Array.isArray(releases) || releases.length === 0 || !isTextList(releases))
      return `kubernetes.releases must be a list of texts, not ${JSON.stringify(releases)}`;
  }
  for (const [name, hops] of Object.entries(ways)) {
    if (!Array.isArray(hops)) return `ways.${name} must be a list, not ${JSON.stringify(hops)}`;
    for (const [index, hop] of hops.entries()) {
      const problem = hopProblem(hop);
      if (problem !== undefined) return `ways.${name}[${index}] ${problem}`;
    }
  }
  for (const [name, node] of Object.entries(nodes)) {
    const { way, after } = isRecord(node) ? node : {};
    if (typeof way !== "string" || !Object.hasOwn(ways, way))
      return `nodes.${name}.way must be one of ${Object.keys(ways).join(", ")}, not ${JSON.stringify(way)}`;
    if (!isTextList(after))
      return `nodes.${name}.after must be a list of texts, not ${JSON.stringify(after)}`;
  }
  return undefined;
}

function hopProblem(hop: unknown): string | undefined {
  const { talosVersion, image, ...lists } = isRecord(hop) ? hop : {};
  try {
    parseVersion(String(talosVersion));
  } catch (error) {
    if (error instanceof VersionError) return `talosVersion: ${error.message}`;
    throw error;
  }
  if (typeof image !== "string" || image === "") return "must have an image";
  const bad = ["extensions", "services", "files"].find((key) => !isTextList(lists[key]));
  return bad === undefined ? undefined : `${bad} must be a list of texts`;
}

/** A node's own way, of an input that `hopsProblem` has passed. */
export function hopsOfNode(
  given: unknown,
  name: string,
): { hops?: Hop[]; after?: string[]; kubernetes?: KubernetesOnPath } {
  const { ways, nodes, kubernetes } = (given ?? { ways: {}, nodes: {} }) as HopsInput;
  const own = Object.hasOwn(nodes, name) ? nodes[name] : undefined;
  if (own === undefined) return {};
  return {
    ...{ hops: ways[own.way] ?? [], after: own.after },
    ...(kubernetes === undefined ? {} : { kubernetes }),
  };
}
