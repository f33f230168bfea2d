import { coded } from "../talos/errorCodes.ts";

/** What the doctor was given cannot be used, or nothing answered: one text for people. */
export class DoctorError extends Error {
  override readonly name = "DoctorError";

  constructor(problem: string, advice?: string) {
    super(coded("doctor", problem, advice));
  }
}
