import { duration } from "../clock.ts";
import type { Finding } from "../guards/finding.ts";

/** The cluster or the node is not fit for the action: nothing was done. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly findings: readonly Finding[];
  /** What to do about it. */
  readonly hint: string;

  constructor(findings: readonly Finding[]) {
    super(findings.map(({ problem }) => problem).join("; "));
    this.findings = findings;
    this.hint = [...new Set(findings.map(({ hint }) => hint))].join(" ");
  }
}

/** The action was done, and the cluster has not recovered from it within the limit. */
export class NotRecovered extends Error {
  override readonly name = "NotRecovered";
  /** What to do about it. */
  readonly hint: string;

  constructor(findings: readonly Finding[], waitedMs: number) {
    super(`not recovered after ${duration(waitedMs)}: ${findings.map(({ problem }) => problem).join("; ")}`);
    this.hint = [...new Set(findings.map(({ hint }) => hint))].join(" ");
  }
}
