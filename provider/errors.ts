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

/** Why a node isn't in its desired state: the user-facing error for any underlying failure. */
export class UpgradeError extends Error {
  override readonly name = "UpgradeError";
  /** `cp1 (127.10.0.11)` */
  readonly node: string;
  readonly step: StepName;
  /** The last observation. */
  readonly seen: CodedText;
  /** What to do about it. */
  readonly hint: string;
  /** The individual problems that block the step. */
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

/** Why a rollout does not start: every node that blocks it, with the reason. */
export class PreflightError extends Error {
  override readonly name = "PreflightError";
  readonly text: CodedText;

  /**
   * @param changed what was changed before, in sentences
   * @param what what does not start
   */
  constructor(problems: readonly UpgradeError[], nodes: number, changed: string, what = "the rollout") {
    const count = new Set(problems.map(({ node }) => node)).size;
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

/** The problems of several nodes, each problem once with all affected nodes: `cp1 (10.0.0.11), cp2 (10.0.0.12), step "guard": …` */
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

/** The node went down or rebooted while it was being read: start over. */
export class NodeRebooted extends Error {
  override readonly name = "NodeRebooted";
}

/** The engine cancelled; the node is fine. */
export class Cancelled extends Error {
  override readonly name = "Cancelled";

  constructor() {
    super("cancelled");
  }
}

/** The engine that requested the work was killed. Another may be working by now, so nothing is cleaned up. */
export class EngineGone extends Error {
  override readonly name = "EngineGone";

  constructor() {
    super("the engine is gone");
  }
}

/** Ends the text with a period if needed, so that another sentence can follow. */
export function endSentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
