/** Why the policies could not be run. The message is for people. */
export class PolicyRunError extends Error {
  override readonly name = "PolicyRunError";
}
