/** Why the acceptance run could not be made. The message is for people. */
export class AcceptError extends Error {
  override readonly name = "AcceptError";
}
