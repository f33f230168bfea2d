import { coded } from "../talos/errorCodes.ts";

/** Why there is no report, for the person who asked for it. */
export class ReportError extends Error {
  override readonly name = "ReportError";

  constructor(problem: string, advice?: string) {
    super(coded("report", problem, advice));
  }
}
