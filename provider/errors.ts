import { coded, type CodedText } from "../talos/errorCodes.ts";
import { joinProblems, type Finding } from "./guards/finding.ts";

/** The steps of an upgrade, in order. Progress lines and errors use these names. */
export const stepNames = [
  "inspect",
  "settled?",
  "guard",
  "pull",
  "install",
  "gate",
  "drain",
  "reboot",
  "verify",
  "uncordon",
  "storage",
] as const;

export type StepName = (typeof stepNames)[number];

/** Why a node is not what it should be: one error for people, whatever went wrong underneath. */
export class UpgradeError extends Error {
  override readonly name = "UpgradeError";
  /** `cp1 (127.10.0.11)` */
  readonly node: string;
  readonly step: StepName;
  /** What was seen last. */
  readonly seen: CodedText;
  /** What to do about it. */
  readonly hint: string;
  /** What stands against the step, each by itself. */
  readonly findings: readonly { problem: CodedText; hint: string }[];

  constructor(
    node: string,
    step: StepName,
    seen: CodedText,
    hint: string,
    findings?: readonly Pick<Finding, "code" | "problem" | "hint">[],
  ) {
    super(`${node}, step "${step}": ${endSentence(seen)} ${hint}`);
    this.node = node;
    this.step = step;
    this.seen = seen;
    this.hint = hint;
    this.findings = findings?.map((one) => ({ problem: joinProblems([one]), hint: one.hint })) ?? [
      { problem: seen, hint },
    ];
  }
}

/** Why a rollout does not start: every node that would stop it, each with its reason. */
export class PreflightError extends Error {
  override readonly name = "PreflightError";
  readonly text: CodedText;

  /**
   * @param changed what was changed before, in sentences
   * @param what does not start
   */
  constructor(problems: readonly UpgradeError[], nodes: number, changed: string, what = "the rollout") {
    const count = problems.length;
    const head = coded(
      "rollout-refused",
      `${what} did not start: ${count} of ${nodes} nodes cannot be upgraded now`,
    );
    const lines = problemLines(problems).map((line) => `  ${line}`);
    const text = [`${head}.`, ...lines, changed].join("\n") as CodedText;
    super(text);
    this.text = text;
  }
}

/** What stands against several nodes, each thing once with all nodes that it concerns: `cp1 (10.0.0.11), cp2 (10.0.0.12), step "guard": …` */
export function problemLines(problems: readonly UpgradeError[]): string[] {
  const concerned = new Map<string, string[]>();
  for (const { node, step, findings } of problems) {
    for (const { problem, hint } of findings) {
      const text = `step "${step}": ${endSentence(problem)} ${hint}`;
      concerned.set(text, [...(concerned.get(text) ?? []), node]);
    }
  }
  return [...concerned].map(([text, nodes]) => `${nodes.join(", ")}, ${text}`);
}

/** The node went down or rebooted while it was only being looked at: look again from the start. */
export class NodeRebooted extends Error {
  override readonly name = "NodeRebooted";
}

/** The engine asked to stop; nothing is wrong with the node. */
export class Cancelled extends Error {
  override readonly name = "Cancelled";

  constructor() {
    super("cancelled");
  }
}

/** The engine that asked for the work was killed. Another may be at it by now, so nothing is tidied up. */
export class EngineGone extends Error {
  override readonly name = "EngineGone";

  constructor() {
    super("the engine is gone");
  }
}

/** A text with an end, for another sentence to follow. */
export function endSentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
