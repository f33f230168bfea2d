/** What the doctor was given cannot be used, or nothing answered: one text for people. */
export class DoctorError extends Error {
  override readonly name = "DoctorError";
}
