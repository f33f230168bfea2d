import { describe, expect, it } from "vitest";
import { isTransient, isUnimplemented, toTalosError } from "../../../talos/api/errors.ts";

const grpc = (code: number, details: string): Error => Object.assign(new Error(details), { code, details });
const kind = (code: number, details: string, stopped = false): string =>
  toTalosError(grpc(code, details), "10.0.0.11", "MachineService.Version", stopped).kind;

describe("a gRPC error", () => {
  it.each([
    [14, "No connection established. Last error: connect ECONNREFUSED 10.0.0.11:50000", "unreachable"],
    [
      14,
      "No connection established. Last error: Error: unable to verify the first certificate",
      "certificate",
    ],
    [14, "No connection established. Last error: certificate has expired", "certificate"],
    [
      13,
      "Received RST_STREAM with code 2 triggered by internal client error: read ECONNRESET",
      "unreachable",
    ],
    [1, "Call cancelled", "unreachable"],
    [13, "upgrade failed: installer image not found", "failed"],
    [4, "Deadline exceeded after 2s", "timeout"],
    [12, "unknown service machine.LifecycleService", "unimplemented"],
    [7, "not authorized", "denied"],
    [5, "no such file", "notFound"],
    [9, "another installation/upgrade is already in progress", "locked"],
    [2, "failed to acquire upgrade mutex: context deadline exceeded", "locked"],
    [9, "Talos is not installed", "failed"],
    [2, "pull access blocked by policy", "failed"],
  ])("%i %s: %s", (code, details, expected) => {
    expect(kind(code, details)).toBe(expected);
  });

  it("of a call that we cancelled is a cancellation", () => {
    expect(kind(1, "Cancelled on client", true)).toBe("cancelled");
  });

  it("is known to be transient or unimplemented", () => {
    expect(isTransient(toTalosError(grpc(14, "x"), "n", "c", false))).toBe(true);
    expect(isTransient(new Error("x"))).toBe(false);
    expect(isUnimplemented(toTalosError(grpc(12, "x"), "n", "c", false))).toBe(true);
  });

  it("becomes one line with the node and the call, without gRPC's wrapping and key material", () => {
    const key = "-----BEGIN ED25519 PRIVATE KEY-----\nhunter2\n-----END ED25519 PRIVATE KEY-----";
    const base64 = Buffer.from(key).toString("base64");
    const error = toTalosError(
      grpc(
        14,
        `No connection established. Last error: Error: bad ${key}\nand ${base64} (2026-11-21T12:21:20.806Z) Resolution note: `,
      ),
      "10.0.0.11",
      "MachineService.Version",
      false,
    );
    expect(error.message).toBe("10.0.0.11: MachineService.Version: bad [PEM] and [PEM]");
    expect(
      toTalosError(grpc(4, "Deadline exceeded after 1.119s,name resolution: 0.046s"), "n", "c", false).detail,
    ).toBe("no answer within 1.119 s");
  });
});
