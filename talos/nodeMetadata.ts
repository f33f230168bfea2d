/** Labels and taints of a Kubernetes node, as Talos validates them: it refuses a configuration with others (siderolabs/talos pkg/machinery/labels). */
import { isLeaf, isTreeMap, treeAt, type Tree } from "./configTree.ts";
import type { Configuration, Finding, Place } from "./configuration.ts";

// Kubernetes's own patterns.
const name = /^([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$/;
const prefix = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const value = /^(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?$/;
const effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"] as const;

/** What a taint does to pods that don't tolerate it. */
export type Effect = (typeof effects)[number];

/** Whether a label's or taint's key is valid: `example.com/rack`. */
export function isQualifiedName(key: string): boolean {
  const parts = key.split("/");
  return (
    parts.length <= 2 && name.test(parts.at(-1) ?? "") && (parts.length < 2 || prefix.test(parts[0] ?? ""))
  );
}

/** Whether the value of a label or taint is valid. */
export function isLabelValue(text: string): boolean {
  return value.test(text);
}

/** What is wrong with a label. */
export function labelProblem(key: string, text: string): string | undefined {
  if (!isQualifiedName(key)) return "is not a valid label name, such as example.com/rack";
  return isLabelValue(text)
    ? undefined
    : "is not a valid label value: at most 63 letters, digits, dashes, underscores and dots";
}

/** What is wrong with a taint in Talos's format, `value:Effect` or only the effect. */
export function taintProblem(key: string, text: string): string | undefined {
  if (!isQualifiedName(key)) return "is not a valid taint name, such as example.com/dedicated";
  const { value: first, effect } = splitTaint(text);
  if (!effects.includes(effect))
    return `must end with an effect, such as present:NoSchedule (${effects.join(", ")})`;
  return isLabelValue(first) && text.split(":").length <= 2
    ? undefined
    : "is not a valid taint value: at most 63 letters, digits, dashes, underscores and dots";
}

/** The parts of a taint as Talos writes it, `value:Effect` or only the effect. */
export function splitTaint(text: string): { value: string; effect: Effect } {
  const [value = "", effect = ""] = text.includes(":") ? text.split(":", 2) : ["", text];
  return { value, effect: effect as Effect };
}

/** The invalid labels and taints of a configuration. */
export function nodeMetadataFindings(config: Configuration): Finding[] {
  const document = config.of("KubeNodeConfig")[0];
  const ofDocument = (key: string): [Place, Tree | undefined] => [
    { kind: "KubeNodeConfig", keys: [key] },
    document === undefined ? undefined : treeAt(document, key),
  ];
  const ofMachine = (key: string): [Place, Tree | undefined] => [
    { kind: "", keys: ["machine", key] },
    config.at("machine", key),
  ];
  return [
    ...[ofMachine("nodeLabels"), ofDocument("labels")].flatMap((at) => findingsIn(...at, labelProblem)),
    ...[ofMachine("nodeTaints"), ofDocument("taints")].flatMap((at) => findingsIn(...at, taintProblem)),
  ];
}

function findingsIn(
  place: Place,
  entries: Tree | undefined,
  problemOf: (key: string, text: string) => string | undefined,
): Finding[] {
  if (!isTreeMap(entries)) return [];
  return [...entries].flatMap(([key, entry]): Finding[] => {
    const problem = isLeaf(entry) ? problemOf(key, entry.text) : undefined;
    if (problem === undefined) return [];
    const keys = [...place.keys, key];
    const path = [...(place.kind === "" ? [] : [place.kind]), ...keys].join(".");
    return [{ rule: "node-metadata", reason: `${path} ${problem}`, places: [{ ...place, keys }] }];
  });
}
