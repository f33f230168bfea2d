import { z } from "zod";
import { parseEndpoints, parseMembers, parseNames, type RolloutMember } from "../rolloutMembers.ts";
import { weekdays } from "../upgradeWindows.ts";
import { must, sectionSchema, textSchema } from "./fields.ts";

const list = must("a list");
const scalarSchema = z.union([z.string(), z.number(), z.boolean()]);

const memberSchema = z.object({
  name: textSchema,
  /** Address of its Talos API. */
  node: textSchema,
  talosVersion: textSchema.exactOptional(),
  schematicId: z.string().exactOptional(),
});

const budgetSchema = z.object({
  /** Name of the group in messages: `workers`. */
  group: textSchema,
  /** Name of the setting that limits it, for messages: `upgrade.workers.maxUnavailable`. */
  setting: textSchema,
  /** Names of its nodes. Absent: all of them. */
  nodes: z.union([z.array(textSchema), z.string()], must("a list or a string")).exactOptional(),
  /** A number of nodes, at least 1, or a percentage of the group such as `25%`. */
  maxUnavailable: z.union([z.number(), z.string()], must("a number or a percentage")),
});

const windowSchema = z.object({
  days: z.array(z.enum(weekdays, must(`one of ${weekdays.join(", ")}`)), list),
  from: textSchema,
  to: textSchema,
  timeZone: textSchema,
});

const gateSchema = z.object({
  apiVersion: textSchema,
  kind: textSchema,
  namespace: textSchema.exactOptional(),
  /** A single object; without it and without a selector all of the kind. */
  name: textSchema.exactOptional(),
  labelSelector: textSchema.exactOptional(),
  /** `Ready`, or `Degraded=False`. */
  condition: textSchema.exactOptional(),
  jsonPath: textSchema.exactOptional(),
  /** The path must return one of these. */
  value: z.union([scalarSchema, z.array(scalarSchema)], must("a value or a list of values")).exactOptional(),
  timeoutSeconds: z.number(must("a number of seconds")),
});

/**
 * How a rollout proceeds from node to node. It is read when a node is due; changing it alone doesn't change a node, so that another window or another node in
 * the list doesn't cause every node to be read.
 */
export const rolloutPolicySchema = sectionSchema({
  /** The nodes reported with this one or sharing a budget with it, in rollout order. */
  nodes: z.union([z.string(), z.array(memberSchema)], must("a list or a string")).default([]),
  /** How many nodes of a group may be unavailable at once. A node in no group has no such limit. */
  budgets: z.array(budgetSchema, list).default([]),
  /** When nodes may be taken down; none: at any time. */
  windows: z.array(windowSchema, list).default([]),
  outsideWindow: z.enum(["stop", "fail"], must("stop or fail")).default("stop"),
  /** What must hold before each node. */
  gates: z.array(gateSchema, list).default([]),
  /** Endpoints of listed nodes that differ from the others'. */
  endpoints: z.string(must("a string")).default(""),
}).transform(({ nodes, budgets, endpoints, ...others }) => {
  const members: RolloutMember[] = typeof nodes === "string" ? parseMembers(nodes) : nodes;
  return {
    ...others,
    nodes: members,
    endpoints: parseEndpoints(endpoints),
    budgets: budgets.map((budget) => ({ ...budget, nodes: memberNames(budget.nodes, members) })),
  };
});

function memberNames(nodes: string[] | string | undefined, members: readonly RolloutMember[]): string[] {
  if (nodes === undefined) return members.map(({ name }) => name);
  return typeof nodes === "string" ? parseNames(nodes) : nodes;
}

export type RolloutPolicy = z.output<typeof rolloutPolicySchema>;
/** A group of nodes that share a limit. A group's own lanes keep it too, but don't know about nodes that are down for other reasons. */
export type Budget = RolloutPolicy["budgets"][number];
/** A cluster condition that must hold before each node is taken down. */
export type CustomGate = RolloutPolicy["gates"][number];

/** No windows, no budgets and no gates. */
export const openPolicy: RolloutPolicy = rolloutPolicySchema.parse({});
