import { status } from "@grpc/grpc-js";

/** An error returned to a Talos API caller, with its gRPC code. */
export class CallFailure extends Error {
  readonly code: status;

  constructor(code: status, details: string) {
    super(details);
    this.code = code;
  }
}

export const notAuthorized = (): CallFailure => new CallFailure(status.PERMISSION_DENIED, "not authorized");

/** A plain error in Talos's own code has no gRPC code and arrives as UNKNOWN. */
export function asCallFailure(error: unknown): CallFailure {
  if (error instanceof CallFailure) return error;
  return new CallFailure(status.UNKNOWN, error instanceof Error ? error.message : String(error));
}
