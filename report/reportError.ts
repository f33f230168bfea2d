import { coded } from "../talos/errorCodes.ts";

/** Why there is no report, in words for whoever asked for it. */
export class ReportError extends Error {
  override readonly name = "ReportError";

  constructor(problem: string, advice?: string) {
    super(coded("report", problem, advice));
  }
}
