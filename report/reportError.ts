/** Why there is no report, in words for whoever asked for it. */
export class ReportError extends Error {
  override readonly name = "ReportError";
}
