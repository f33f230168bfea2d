import { coded, framed, type CodedText } from "../../talos/errorCodes.ts";
import { formatDuration } from "../clock.ts";
import { joinHints, joinProblems, type Finding } from "../guards/finding.ts";

/** The cluster or the node is not in a state that allows the action; nothing was done. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly findings: readonly Finding[];
  readonly problems: CodedText;
  /** What to do about it. */
  readonly hint: string;

  constructor(findings: readonly Finding[]) {
    const problems = joinProblems(findings);
    super(problems);
    this.findings = findings;
    this.problems = problems;
    this.hint = joinHints(findings);
  }
}

/** The action was done, but the cluster didn't recover within the time limit. */
export class NotRecovered extends Error {
  override readonly name = "NotRecovered";
  readonly text: CodedText;
  /** What to do about it. */
  readonly hint: string;

  constructor(findings: readonly Finding[], waitedMs: number) {
    const head = coded("not-recovered", `not recovered after ${formatDuration(waitedMs)}`);
    const text = framed(`${head}: `, joinProblems(findings), "");
    super(text);
    this.text = text;
    this.hint = joinHints(findings);
  }
}
