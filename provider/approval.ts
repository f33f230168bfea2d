import { planAllows, type PlannedAction, type RolloutPlan } from "../talos/rolloutPlan.ts";
import type { Finding } from "./guards/finding.ts";
import { hasUnknown, type Properties } from "./secrets.ts";

/**
 * What RolloutReadiness confirmed in one run. Every resource that disturbs a node takes this output as its input `approval`; without that input, no approval is
 * required.
 */
export interface Approval {
  /** Digest of the approved plan; `none` if nothing is approved. */
  digest: string;
  /** The engine run it is valid for. A confirmation from an earlier run is void. */
  run: string;
  /** The program run that asked for it. The program never passes on a confirmation from another run. */
  program: string;
  /** Names of the nodes each action is approved for. */
  upgrade: string[];
  configuration: string[];
  /** Nodes whose Kubernetes components may be upgraded. */
  kubernetes: string[];
  /** Nodes whose machine may be reset. */
  leaving: string[];
}

/** The input that carries the approval. A new approval alone doesn't change the resource. */
export const approvalProperty = "approval";

/** The value of `approvedPlan` that approves nothing and only shows the plan. */
export const nothingApproved = "none";

/** The input `approval` of an operation, and the engine run it belongs to. */
export interface AskedApproval {
  readonly given: unknown;
  readonly run: string;
}

/** Names of the gate's actions in a plan. */
export const plannedActions = {
  restart: "upgrade",
  convert: "upgrade",
  configure: "configuration",
  leave: "leaving",
} as const satisfies Record<string, PlannedAction>;

/** An approved plan, and the run in which it was confirmed. */
type PlanConfirmation = Pick<Approval, "digest" | "run" | "program">;

/** Written as the input `approval` of RolloutReadiness. */
export function formatConfirmation({ digest, program, run }: PlanConfirmation): string {
  return [digest, program, run].join("@");
}

/** Earlier versions didn't write the program; it defaults to the run. */
export function parseConfirmation(text: string): PlanConfirmation {
  const [digest = "", program = "", run = program] = text.split("@");
  return { digest, program, run };
}

/** What the approved plan allows in this run. */
export function approvalInRun({ digest, run, program }: PlanConfirmation, plan: RolloutPlan): Approval {
  const isApproved = digest !== nothingApproved;
  const nodes = (action: "upgrade" | "configuration" | "kubernetes"): string[] =>
    isApproved ? Object.keys(plan.nodes).filter((name) => planAllows(plan, name, action)) : [];
  const reset = Object.entries(plan.leaving).flatMap(([name, { way }]) => (way === "reset" ? [name] : []));
  return {
    ...{ digest, run, program },
    upgrade: nodes("upgrade"),
    configuration: nodes("configuration"),
    kubernetes: nodes("kubernetes"),
    leaving: isApproved ? reset : [],
  };
}

/** Reduces the approval to the resource's own node. With all nodes in every node's state, the state would grow quadratically. */
export function approvalForNode(inputs: Properties): Properties {
  const { name, [approvalProperty]: given } = inputs;
  if (typeof given !== "object" || given === null || typeof name !== "string" || hasUnknown(given))
    return inputs;
  const own = Object.entries(given).map(([key, value]: [string, unknown]) => [
    key,
    Array.isArray(value) ? value.filter((one) => one === name) : value,
  ]);
  return { ...inputs, [approvalProperty]: Object.fromEntries(own) as Properties };
}

/** Why this action is not approved for the node. Empty if no approval is required. */
export function approvalFindings(
  asked: AskedApproval | undefined,
  name: string,
  action: PlannedAction,
): Finding[] {
  if (asked === undefined) return [];
  const { given, run } = asked;
  const approval = typeof given === "object" && given !== null ? (given as Partial<Approval>) : {};
  if (typeof approval.digest !== "string" || approval.run !== run) {
    return [
      {
        code: "plan-not-confirmed",
        problem: "approvedPlan is set, but the plan was not compared with the cluster in this run",
        hint: "RolloutReadiness compares them: with --target, add `--target '**readiness'`.",
        mayPass: false,
      },
    ];
  }
  if (approval[action]?.includes(name) === true) return [];
  return [
    approval.digest === nothingApproved
      ? {
          code: "plan-not-approved",
          problem: "nothing is approved (approvedPlan is none)",
          hint: "Have the preview approved, and set approvedPlan to the digest of its plan.",
          mayPass: false,
        }
      : {
          code: "plan-not-approved",
          problem: `the approved plan ${approval.digest} has no ${words[action]} of ${name}`,
          hint: "Create a new preview and have it approved.",
          mayPass: false,
        },
  ];
}

const words: Record<PlannedAction, string> = {
  upgrade: "upgrade",
  configuration: "configuration change",
  kubernetes: "Kubernetes upgrade",
  leaving: "removal",
};
