import { isDeepStrictEqual } from "node:util";
import type { Endpoints } from "../../talos/endpoint.ts";
import { parseNames, parseMembers, parseEndpoints, type RolloutMember } from "../../talos/rolloutMembers.ts";
import type { UpgradeWindow } from "../../talos/upgradeWindows.ts";
import type { Rule } from "../check.ts";
import type { Properties } from "../secrets.ts";
import type { CustomGate } from "./gates.ts";

/**
 * How a rollout goes on from node to node. It is read when a node is due; a change of it alone is no change of a node, so that neither
 * another window nor another node in the list has every node looked at.
 */
export interface RolloutPolicy {
  /** The nodes that this one is told with or shares a budget with, in the order of the rollout. */
  nodes: RolloutMember[];
  /** How many nodes of a group may be unavailable at once. A node in none of them has no such limit. */
  budgets: Budget[];
  /** When nodes may be taken down; none: at any time. */
  windows: UpgradeWindow[];
  outsideWindow: "stop" | "fail";
  /** What has to hold before each node. */
  gates: CustomGate[];
  /** Where nodes of the list are reached that are not where the others are. */
  endpoints: Endpoints;
}

/** A group of nodes that share a limit. A group's own lanes keep it too, but know nothing of nodes that are down for other reasons. */
export interface Budget {
  /** What the group is called in messages: `workers`. */
  group: string;
  /** The setting that says how many, for messages: `upgrade.workers.maxUnavailable`. */
  setting: string;
  /** Names of its nodes. */
  nodes: string[];
  /** A number of nodes, at least 1, or a percentage of the group such as `25%`. */
  maxUnavailable: number | string;
}

const policyFields = ["nodes", "budgets", "windows", "outsideWindow", "gates", "endpoints"] as const;

/** The program has checked its settings; this is for programs that use the resource by itself. */
export const rolloutPolicyRule: Rule = (value) => {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return `must be { ${policyFields.join(", ")} }, not ${JSON.stringify(value)}`;
  const given = value as Properties;
  const strange = Object.keys(given).filter((key) => !(policyFields as readonly string[]).includes(key));
  if (strange.length > 0) return `has no ${strange.join(", ")}; there are ${policyFields.join(", ")}`;
  if (given["nodes"] !== undefined && typeof given["nodes"] !== "string" && !Array.isArray(given["nodes"]))
    return `nodes must be a list or a text, not ${JSON.stringify(given["nodes"])}`;
  for (const key of ["budgets", "windows", "gates"] as const)
    if (given[key] !== undefined && !Array.isArray(given[key]))
      return `${key} must be a list, not ${JSON.stringify(given[key])}`;
  const { outsideWindow, endpoints } = given;
  if (endpoints !== undefined && typeof endpoints !== "string")
    return `endpoints must be a text, not ${JSON.stringify(endpoints)}`;
  return outsideWindow === undefined || outsideWindow === "stop" || outsideWindow === "fail"
    ? undefined
    : `outsideWindow must be stop or fail, not ${JSON.stringify(outsideWindow)}`;
};

/** As inputs have it: nodes may be a list or a text, and a budget without nodes is about all of them. */
type GivenPolicy = Omit<RolloutPolicy, "nodes" | "budgets" | "endpoints"> & {
  endpoints: string;
  nodes: RolloutMember[] | string;
  budgets: (Omit<Budget, "nodes"> & { nodes?: string[] | string })[];
};

/** Inputs that `rolloutPolicyRule` has passed, with the defaults. */
export function parsePolicy(given: unknown): RolloutPolicy {
  const { nodes = [], budgets = [], endpoints = "", ...others } = (given ?? {}) as Partial<GivenPolicy>;
  const members = typeof nodes === "string" ? parseMembers(nodes) : nodes;
  return {
    windows: [],
    outsideWindow: "stop",
    gates: [],
    ...others,
    nodes: members,
    endpoints: parseEndpoints(endpoints),
    budgets: budgets.map((budget) => ({ ...budget, nodes: memberNames(budget.nodes, members) })),
  };
}

function memberNames(nodes: string[] | string | undefined, members: readonly RolloutMember[]): string[] {
  if (nodes === undefined) return members.map(({ name }) => name);
  return typeof nodes === "string" ? parseNames(nodes) : nodes;
}

/** Whether two sets of inputs are the same but for how the rollout goes on, which may be the same too. */
export function sameButForPolicy(before: Properties, after: Properties): boolean {
  const { rollout: _before, ...restBefore } = before;
  const { rollout: _after, ...restAfter } = after;
  return isDeepStrictEqual(restBefore, restAfter);
}
