/** What a deployment would do to the nodes, as it is approved: in one form, without secrets, with a digest. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { canonicalJson } from "./values.ts";

const nodeSchema = z.strictObject({
  address: z.string(),
  role: z.enum(["controlplane", "worker"]),
  /** The node runs another image than it is to run. */
  upgrade: z
    .strictObject({
      /** Release and schematic that run: `v1.13.7 with schematic <ID>`, or `not read` where the node did not answer. */
      from: z.string(),
      to: z.string(),
      image: z.string(),
      /** Releases on the way, where it is several minor releases behind. */
      through: z.array(z.string()).optional(),
    })
    .optional(),
  /** The lines in which the node's machine configuration differs from the wanted one, and a digest of them uncut. */
  configuration: z.strictObject({ lines: z.array(z.string()), digest: z.string() }).optional(),
  /** The release of Kubernetes that it is to run, and what runs now of each component that is of another. */
  kubernetes: z
    .strictObject({
      to: z.string(),
      from: z.record(z.string(), z.string()),
      /** Minor releases on the way, each a complete upgrade. */
      through: z.array(z.string()).optional(),
    })
    .optional(),
  /** The node gets its first configuration, and with it this image. */
  joins: z.strictObject({ to: z.string(), image: z.string() }).optional(),
});

const planSchema = z.strictObject({
  stack: z.string(),
  /** Nodes to which something is done, by name. */
  nodes: z.record(z.string(), nodeSchema),
  /** Nodes that leave, by name, and what happens to the machine. */
  leaving: z.record(
    z.string(),
    z.strictObject({ address: z.string(), way: z.enum(["reset", "keep", "moved"]) }),
  ),
});

/** A node to which something is done. */
export type PlannedNode = z.infer<typeof nodeSchema>;

/** The nodes to which something is done, and what. Objects of Kubernetes are no part of it: they disturb no node. */
export type RolloutPlan = z.infer<typeof planSchema>;

/** A plan that was approved. */
export interface ApprovedPlan {
  /** Its digest, as the preview and its report show it; `none` approves nothing. */
  digest: string;
  /** The plan itself, to name the differences. Default: the digests, and what would be done now, are all that is told. */
  plan?: RolloutPlan | undefined;
}

/** What is done with a node, as far as the plan tells it apart. */
export type PlannedAction = "upgrade" | "configuration" | "kubernetes" | "leaving";

const written = z.object({ digest: z.string(), plan: planSchema });

/** The plan in one line, the same whatever order its nodes and keys are in. */
export function canonicalPlan(plan: RolloutPlan): string {
  return canonicalJson(plan);
}

/** SHA-256 of the plan's text. */
export function planDigest(plan: RolloutPlan): string {
  return createHash("sha256").update(canonicalPlan(plan)).digest("hex");
}

/** The plan as a file: what `parsePlanFile` takes. */
export function formatPlanFile(plan: RolloutPlan): string {
  return `${JSON.stringify({ digest: planDigest(plan), plan }, null, 2)}\n`;
}

/** A plan that a preview's report has written, or why it is none. The digest in the file counts for nothing: it is made anew. */
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

/** A plan from an input of a resource, as it is or as its text; undefined where it is none. */
export function planFromInput(value: unknown): RolloutPlan | undefined {
  if (typeof value !== "string") return planSchema.safeParse(value).data;
  try {
    return planSchema.safeParse(JSON.parse(value)).data;
  } catch {
    return undefined;
  }
}

/** Nothing is done to any node. */
export function isEmptyPlan({ nodes, leaving }: RolloutPlan): boolean {
  return Object.keys(nodes).length + Object.keys(leaving).length === 0;
}

/** May the plan's deployment do this to the node? */
export function planAllows({ nodes, leaving }: RolloutPlan, name: string, action: PlannedAction): boolean {
  if (action === "leaving") return leaving[name] !== undefined;
  const node = nodes[name];
  if (node?.joins !== undefined) return true;
  return node?.[action] !== undefined;
}

/** One line for each thing that is done to a node. */
export function planLines(plan: RolloutPlan): string[] {
  return [...affectedNames(plan)].flatMap((name) => describeNode(name, plan));
}

/** How what would be done now differs from what was approved; empty where it does not. */
export function planDifferences(approved: RolloutPlan, now: RolloutPlan): string[] {
  const stack =
    approved.stack === now.stack ? [] : [`it was approved for stack ${approved.stack}, not ${now.stack}`];
  const nodes = [...new Set([...affectedNames(approved), ...affectedNames(now)])].sort().flatMap((name) => {
    if (canonicalJson(nodePart(name, approved)) === canonicalJson(nodePart(name, now))) return [];
    const [before, after] = [describeNode(name, approved), describeNode(name, now)];
    const gone = before.filter((line) => !after.includes(line));
    const added = after.filter((line) => !before.includes(line));
    const told = [...gone.map((line) => `approved: ${line}`), ...added.map((line) => `now: ${line}`)];
    if (after.length === 0) told.push(`now: ${name}: nothing to do`);
    // Lines are cut where they are long; their digest is not.
    return told.length > 0 ? told : [`${name}: its machine configuration differs beyond what the lines show`];
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
