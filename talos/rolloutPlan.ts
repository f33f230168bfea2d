/** What a deployment would do to the nodes, for approval: in canonical form, without secrets, with a digest. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { canonicalJson } from "./values.ts";

const nodeSchema = z.strictObject({
  address: z.string(),
  role: z.enum(["controlplane", "worker"]),
  /** The node runs a different image than desired. */
  upgrade: z
    .strictObject({
      /** Running release and schematic: `v1.13.7 with schematic <ID>`, or `not read` if the node didn't answer. */
      from: z.string(),
      to: z.string(),
      image: z.string(),
      /** Intermediate releases, if it is several minor releases behind. */
      through: z.array(z.string()).optional(),
    })
    .optional(),
  /** The lines in which the node's machine configuration differs from the desired one, and a digest of them in full length. */
  configuration: z.strictObject({ lines: z.array(z.string()), digest: z.string() }).optional(),
  /** The desired Kubernetes release, and the running one of each component that differs. */
  kubernetes: z
    .strictObject({
      to: z.string(),
      from: z.record(z.string(), z.string()),
      /** Intermediate minor releases, each a complete upgrade. */
      through: z.array(z.string()).optional(),
    })
    .optional(),
  /** The node gets its first configuration, and with it this image. */
  joins: z.strictObject({ to: z.string(), image: z.string() }).optional(),
});

const planSchema = z.strictObject({
  stack: z.string(),
  /** Affected nodes, by name. */
  nodes: z.record(z.string(), nodeSchema),
  /** Leaving nodes, by name, and what happens to the machine. */
  leaving: z.record(
    z.string(),
    z.strictObject({ address: z.string(), way: z.enum(["reset", "keep", "moved"]) }),
  ),
});

/** An affected node. */
export type PlannedNode = z.infer<typeof nodeSchema>;

/** The affected nodes, and what is done to them. Kubernetes objects are not part of it: they disturb no node. */
export type RolloutPlan = z.infer<typeof planSchema>;

/** An approved plan. */
export interface ApprovedPlan {
  /** Its digest, as shown in the preview and its report; `none` approves nothing. */
  digest: string;
  /** The plan itself, to show the differences. Default: only the digests and the current plan are shown. */
  plan?: RolloutPlan | undefined;
}

/** The kinds of actions on a node that a plan distinguishes. */
export type PlannedAction = "upgrade" | "configuration" | "kubernetes" | "leaving";

const written = z.object({ digest: z.string(), plan: planSchema });

/** The plan in one line, independent of the order of nodes and keys. */
export function canonicalPlan(plan: RolloutPlan): string {
  return canonicalJson(plan);
}

/** SHA-256 of the plan's text. */
export function planDigest(plan: RolloutPlan): string {
  return createHash("sha256").update(canonicalPlan(plan)).digest("hex");
}

/** The plan as a file for `parsePlanFile`. */
export function formatPlanFile(plan: RolloutPlan): string {
  return `${JSON.stringify({ digest: planDigest(plan), plan }, null, 2)}\n`;
}

/** Parses a plan written by a preview's report, or returns why it is invalid. The digest in the file is ignored and recomputed. */
export function parsePlanFile(text: string): RolloutPlan | { problem: string } {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    return { problem: "is not JSON" };
  }
  const read = written.safeParse(given);
  return read.success ? read.data.plan : { problem: "is not a plan written by a preview report" };
}

/** A plan from a resource input, as an object or as text; undefined if it is invalid. */
export function planFromInput(value: unknown): RolloutPlan | undefined {
  if (typeof value !== "string") return planSchema.safeParse(value).data;
  try {
    return planSchema.safeParse(JSON.parse(value)).data;
  } catch {
    return undefined;
  }
}

/** Whether the plan does nothing to any node. */
export function isEmptyPlan({ nodes, leaving }: RolloutPlan): boolean {
  return Object.keys(nodes).length + Object.keys(leaving).length === 0;
}

/** Whether the plan includes this action on the node. */
export function planAllows({ nodes, leaving }: RolloutPlan, name: string, action: PlannedAction): boolean {
  if (action === "leaving") return leaving[name] !== undefined;
  const node = nodes[name];
  if (node?.joins !== undefined) return true;
  return node?.[action] !== undefined;
}

/** One line per action on a node. */
export function planLines(plan: RolloutPlan): string[] {
  return [...affectedNames(plan)].flatMap((name) => describeNode(name, plan));
}

/** How the current plan differs from the approved one; empty if it doesn't. */
export function planDifferences(approved: RolloutPlan, now: RolloutPlan): string[] {
  const stack =
    approved.stack === now.stack ? [] : [`it was approved for stack ${approved.stack}, not ${now.stack}`];
  const nodes = [...new Set([...affectedNames(approved), ...affectedNames(now)])].sort().flatMap((name) => {
    if (canonicalJson(nodePart(name, approved)) === canonicalJson(nodePart(name, now))) return [];
    const [before, after] = [describeNode(name, approved), describeNode(name, now)];
    const gone = before.filter((line) => !after.includes(line));
    const added = after.filter((line) => !before.includes(line));
    const lines = [...gone.map((line) => `approved: ${line}`), ...added.map((line) => `now: ${line}`)];
    if (after.length === 0) lines.push(`now: ${name}: nothing to do`);
    // Long lines are shortened; their digest is not.
    return lines.length > 0
      ? lines
      : [`${name}: its machine configuration differs beyond what the lines show`];
  });
  return [...stack, ...nodes];
}

function nodePart(name: string, { nodes, leaving }: RolloutPlan): unknown {
  return { node: nodes[name], leaving: leaving[name] };
}

function affectedNames({ nodes, leaving }: RolloutPlan): Set<string> {
  return new Set([...Object.keys(nodes), ...Object.keys(leaving)].sort());
}

function describeNode(name: string, { nodes, leaving }: RolloutPlan): string[] {
  const node = nodes[name];
  const left = leaving[name];
  return [
    ...(left === undefined ? [] : [`${name} (${left.address}): leaves, ${left.way}`]),
    ...(node === undefined ? [] : describeActions(`${name} (${node.address}, ${node.role})`, node)),
  ];
}

function describeActions(
  label: string,
  { upgrade, configuration, kubernetes, joins }: PlannedNode,
): string[] {
  return [
    ...(joins === undefined ? [] : [`${label}: first configuration -> ${joins.to}, ${joins.image}`]),
    ...(upgrade === undefined
      ? []
      : [
          `${label}: ${[upgrade.from, ...(upgrade.through ?? []), upgrade.to].join(" -> ")}, ${upgrade.image}`,
        ]),
    ...(configuration?.lines ?? []).map((line) => `${label}: configuration ${line}`),
    ...Object.entries(kubernetes?.from ?? {}).map(
      ([component, from]) => `${label}: ${component} ${from} -> ${kubernetes?.to ?? ""}`,
    ),
  ];
}
