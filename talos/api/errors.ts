/** The kinds of Talos API errors that callers handle differently. */
export type TalosErrorKind =
  /** nothing answers, or the connection broke during the call */
  | "unreachable"
  /** no answer within the deadline; whether the call had an effect is unknown */
  | "timeout"
  /** TLS failed: another cluster's CA, an expired certificate, a node in maintenance mode, a wrong clock */
  | "certificate"
  /** the client certificate's role doesn't allow this call */
  | "denied"
  /** this Talos release doesn't have the call */
  | "unimplemented"
  | "notFound"
  /** the node is in the middle of another upgrade, reboot or reset */
  | "locked"
  /** the caller cancelled the call */
  | "cancelled"
  /** the node returned an error of its own */
  | "failed";

/** An error of the Talos API. Its message names the node, the call and the node's error. */
export class TalosError extends Error {
  override readonly name = "TalosError";
  readonly kind: TalosErrorKind;
  readonly node: string;
  /** The method, for example `MachineService.Version`. */
  readonly call: string;
  /** The error text, in one line. */
  readonly detail: string;

  constructor(kind: TalosErrorKind, node: string, call: string, detail: string) {
    super(`${node}: ${call}: ${detail}`);
    this.kind = kind;
    this.node = node;
    this.call = call;
    this.detail = detail;
  }
}

/** True for an error that says nothing about the node's state: it may be booting, or the network may be down for a while. */
export function isTransient(error: unknown): boolean {
  return error instanceof TalosError && (error.kind === "unreachable" || error.kind === "timeout");
}

export function isUnimplemented(error: unknown): boolean {
  return error instanceof TalosError && error.kind === "unimplemented";
}

/** gRPC's status codes by number (https://grpc.io/docs/guides/status-codes). */
const statusCodes = {
  cancelled: 1,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** Matches TLS libraries' errors about mismatched certificates. */
export const certificateErrorPattern =
  /certificate|self.signed|CERT_|ERR_TLS|SSL routines|tlsv1|sslv3|alert (bad|unknown|handshake)|altnames|EPROTO/i;
// grpc-js reports a connection that breaks during a call as INTERNAL or CANCELLED.
const brokenConnectionPattern =
  /RST_STREAM|ECONNRESET|ECONNREFUSED|EPIPE|connection (dropped|reset|closed)|EOF|socket hang up|Call cancelled/i;
// siderolabs/talos v1.13 lifecycle.go ("another installation/upgrade is already in progress"), v1alpha1_server.go
// ("failed to acquire upgrade mutex"), runtime/errors.go ("locked").
const sequenceLockPattern = /in progress|upgrade mutex|\blocked\b/i;

interface GrpcError {
  code: number;
  details: string;
}

function isGrpcError(error: unknown): error is GrpcError {
  return typeof error === "object" && error !== null && "code" in error && "details" in error;
}

/** Converts grpc-js errors to a TalosError. */
export function toTalosError(
  error: unknown,
  node: string,
  call: string,
  stoppedByCaller: boolean,
): TalosError {
  if (error instanceof TalosError) return error;
  if (!isGrpcError(error)) {
    return new TalosError(
      "failed",
      node,
      call,
      sanitizeLine(error instanceof Error ? error.message : String(error)),
    );
  }
  const detail = sanitizeLine(error.details);
  return new TalosError(stoppedByCaller ? "cancelled" : errorKind(error.code, detail), node, call, detail);
}

function errorKind(code: number, detail: string): TalosErrorKind {
  switch (code) {
    case statusCodes.unavailable:
      return certificateErrorPattern.test(detail) ? "certificate" : "unreachable";
    case statusCodes.deadlineExceeded:
      return "timeout";
    case statusCodes.permissionDenied:
    case statusCodes.unauthenticated:
      return "denied";
    case statusCodes.unimplemented:
      return "unimplemented";
    case statusCodes.notFound:
      return "notFound";
    case statusCodes.cancelled:
      return "unreachable";
    case statusCodes.internal:
      return brokenConnectionPattern.test(detail) ? "unreachable" : "failed";
    default:
      return sequenceLockPattern.test(detail) ? "locked" : "failed";
  }
}

const pem = /-----BEGIN [A-Z0-9 ]+-----[\s\S]*?(-----END [A-Z0-9 ]+-----|$)/g;
const base64Pem = /LS0tLS1CRUdJTi[A-Za-z0-9+/=]+/g;

/** Errors end up in terminals and logs: one line, and no key material whatever its origin. */
function sanitizeLine(text: string): string {
  return (
    text
      .replace(pem, "[PEM]")
      .replace(base64Pem, "[PEM]")
      .replace(/\s*Resolution note:\s*$/, "")
      // The wrapping that grpc-js adds to the reason.
      .replace(/^No connection established\. Last error: (Error: )?/, "")
      .replace(/ \(\d{4}-\d\d-\d\dT[^)]*\)/, "")
      .replace(/^Deadline exceeded after ([\d.]+)s.*$/s, "no answer within $1 s")
      .replace(/\s+/g, " ")
      .trim()
  );
}
