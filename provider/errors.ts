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
] as const;

export type StepName = (typeof stepNames)[number];

/** Why a node is not what it should be: one error for people, whatever went wrong underneath. */
export class UpgradeError extends Error {
  override readonly name = "UpgradeError";
  /** `cp1 (127.10.0.11)` */
  readonly node: string;
  readonly step: StepName;
  /** What was seen last. */
  readonly seen: string;
  /** What to do about it. */
  readonly hint: string;

  constructor(node: string, step: StepName, seen: string, hint: string) {
    super(`${node}, step "${step}": ${sentence(seen)} ${hint}`);
    this.node = node;
    this.step = step;
    this.seen = seen;
    this.hint = hint;
  }
}

/** Why a rollout is not begun: every node that would stop it, each with its reason. */
export class PreflightError extends Error {
  override readonly name = "PreflightError";

  constructor(problems: readonly string[], nodes: number) {
    super(
      `the rollout was not begun, no node was touched: ${problems.length} of ${nodes} nodes could not be upgraded.\n${problems.map((problem) => `  ${problem}`).join("\n")}`,
    );
  }
}

/** The node went down or rebooted while it was only being looked at: look again from the start. */
export class NodeMoved extends Error {
  override readonly name = "NodeMoved";
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
export function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
