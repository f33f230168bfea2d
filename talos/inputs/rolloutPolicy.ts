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
  /** What the group is called in messages: `workers`. */
  group: textSchema,
  /** The setting that says how many, for messages: `upgrade.workers.maxUnavailable`. */
  setting: textSchema,
  /** Names of its nodes. Absent: all of them. */
  nodes: z.union([z.array(textSchema), z.string()], must("a list or a text")).exactOptional(),
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
  /** The one object; without it and without a selector all of the kind. */
  name: textSchema.exactOptional(),
  labelSelector: textSchema.exactOptional(),
  /** `Ready`, or `Degraded=False`. */
  condition: textSchema.exactOptional(),
  jsonPath: textSchema.exactOptional(),
  /** Any of these has to be found by the path. */
  value: z.union([scalarSchema, z.array(scalarSchema)], must("a value or a list of values")).exactOptional(),
  timeoutSeconds: z.number(must("a number of seconds")),
});

/**
 * How a rollout goes on from node to node. It is read when a node is due; a change of it alone is no change of a node, so that neither
 * another window nor another node in the list has every node looked at.
 */
export const rolloutPolicySchema = sectionSchema({
  /** The nodes that this one is told with or shares a budget with, in the order of the rollout. */
  nodes: z.union([z.string(), z.array(memberSchema)], must("a list or a text")).default([]),
  /** How many nodes of a group may be unavailable at once. A node in none of them has no such limit. */
  budgets: z.array(budgetSchema, list).default([]),
  /** When nodes may be taken down; none: at any time. */
  windows: z.array(windowSchema, list).default([]),
  outsideWindow: z.enum(["stop", "fail"], must("stop or fail")).default("stop"),
  /** What has to hold before each node. */
  gates: z.array(gateSchema, list).default([]),
  /** Where nodes of the list are reached that are not where the others are. */
  endpoints: z.string(must("a text")).default(""),
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
/** A group of nodes that share a limit. A group's own lanes keep it too, but know nothing of nodes that are down for other reasons. */
export type Budget = RolloutPolicy["budgets"][number];
/** Something in the cluster that has to hold before the first node is taken down, and before each one after it. */
export type CustomGate = RolloutPolicy["gates"][number];

/** No windows, no budgets and no gates. */
export const openPolicy: RolloutPolicy = rolloutPolicySchema.parse({});
