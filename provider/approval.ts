import { planAllows, type PlannedAction, type RolloutPlan } from "../talos/rolloutPlan.ts";
import type { Finding } from "./guards/finding.ts";
import { hasUnknown, type Properties } from "./secrets.ts";

/**
 * What RolloutReadiness has confirmed in one run: the output that every resource which disturbs a node has as its input `approval`. A resource without that
 * input asks for no approval.
 */
export interface Approval {
  /** Digest of the approved plan; `none` where nothing is approved. */
  digest: string;
  /** The run of the engine that it is good for. What an earlier run has confirmed is worth nothing now. */
  run: string;
  /** The run of the program that asked for it. The program hands on nothing that another run has confirmed. */
  program: string;
  /** Names of the nodes to which each may be done. */
  upgrade: string[];
  configuration: string[];
  /** Those whose components of Kubernetes are moved. */
  kubernetes: string[];
  /** Those whose machine is reset. */
  leaving: string[];
}

/** The input that every resource has for it: another approval is no change of the resource. */
export const approvalProperty = "approval";

/** The value of `approvedPlan` that approves nothing, and only shows the plan. */
export const nothingApproved = "none";

/** What an operation was given as its input `approval`, and the run of the engine that this is. */
export interface AskedApproval {
  readonly given: unknown;
  readonly run: string;
}

/** What a plan calls the gate's actions. */
export const plannedActions = {
  restart: "upgrade",
  convert: "upgrade",
  configure: "configuration",
  leave: "leaving",
} as const satisfies Record<string, PlannedAction>;

/** A plan that was approved, and the run in which that was found true. */
type PlanConfirmation = Pick<Approval, "digest" | "run" | "program">;

/** As the input `approval` of RolloutReadiness. */
export function formatConfirmation({ digest, program, run }: PlanConfirmation): string {
  return [digest, program, run].join("@");
}

/** Of what an earlier version has written, the program is its run. */
export function parseConfirmation(text: string): PlanConfirmation {
  const [digest = "", program = "", run = program] = text.split("@");
  return { digest, program, run };
}

/** What may be done in this run, by the plan that was approved. */
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

/** Inputs with as much of the approval as is about their node: with all nodes in the state of each, the state would grow with their square. */
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

/** What stands against doing this to the node: nothing where no approval is asked for. */
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
