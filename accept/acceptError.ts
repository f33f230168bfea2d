import { coded } from "../talos/errorCodes.ts";

/** Why the acceptance run could not be made. The message is for people. */
export class AcceptError extends Error {
  override readonly name = "AcceptError";

  constructor(problem: string, advice?: string) {
    super(coded("accept", problem, advice));
  }
}
