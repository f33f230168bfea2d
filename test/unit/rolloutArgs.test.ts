import { describe, expect, it } from "vitest";
import { drainArgs, drainUnlessDefault } from "../../components/drainArgs.ts";
import { storageGateArgs } from "../../components/storageGateArgs.ts";

const usual = {
  enabled: true,
  timeout: 300,
  blockedTimeout: 120,
  leftoverSessions: "warn",
  whenBlocked: "stop",
} as const;

describe("what a rollout is told of a drain and of the gate after it", () => {
  it("is what it was before these settings existed, where none is used", () => {
    expect(drainArgs(usual)).toEqual({ enabled: true, timeoutSeconds: 300 });
    expect(drainUnlessDefault(drainArgs(usual))).toBeUndefined();
    expect(storageGateArgs({ timeout: 300 })).toBeUndefined();
    expect(storageGateArgs({ timeout: 300 }, { pools: [{}] })).toBeUndefined();
  });

  it("is what the settings say", () => {
    expect(drainArgs({ ...usual, leftoverSessions: "refuse", whenBlocked: "delete" })).toEqual({
      ...{ enabled: true, timeoutSeconds: 300 },
      ...{ leftoverSessions: "refuse", whenBlocked: "delete", blockedTimeoutSeconds: 120 },
    });
    for (const change of [{ enabled: false }, { timeout: 60 }, { leftoverSessions: "refuse" } as const]) {
      const drain = drainArgs({ ...usual, ...change });
      expect(drainUnlessDefault(drain)).toEqual(drain);
    }
    expect(storageGateArgs({ enabled: false, timeout: 60 })).toEqual({ enabled: false, timeoutSeconds: 60 });
  });

  it("turns the gate on for a JovianDSS driver that the provider does not know by its name", () => {
    const renamed = [{ driver: { name: "iscsi.csi.pool-1.example.com" } }];
    expect(storageGateArgs({ timeout: 300 }, { pools: renamed })).toEqual({ enabled: true });
    expect(storageGateArgs({ timeout: 300 }, { pools: [{}, ...renamed] })).toBeUndefined();
  });
});
