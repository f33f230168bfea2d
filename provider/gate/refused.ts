import { duration } from "../clock.ts";
import { hintsOf, problemsOf, type Finding } from "../guards/finding.ts";

/** The cluster or the node is not fit for the action: nothing was done. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly findings: readonly Finding[];
  /** What to do about it. */
  readonly hint: string;

  constructor(findings: readonly Finding[]) {
    super(problemsOf(findings));
    this.findings = findings;
    this.hint = hintsOf(findings);
  }
}

/** The action was done, and the cluster has not recovered from it within the limit. */
export class NotRecovered extends Error {
  override readonly name = "NotRecovered";
  /** What to do about it. */
  readonly hint: string;

  constructor(findings: readonly Finding[], waitedMs: number) {
    super(`not recovered after ${duration(waitedMs)}: ${problemsOf(findings)}`);
    this.hint = hintsOf(findings);
  }
}
