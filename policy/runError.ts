import { coded } from "../talos/errorCodes.ts";

/** Why the policies could not be run. The message is for people. */
export class PolicyRunError extends Error {
  override readonly name = "PolicyRunError";

  /** @param usage how the command is called, where that is what went wrong */
  constructor(problem: string, usage?: string) {
    super([coded("policy", problem), ...(usage === undefined ? [] : [usage])].join("\n\n"));
  }
}
