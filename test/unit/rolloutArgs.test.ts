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

describe("the drain and storage gate inputs of a rollout", () => {
  it("stay as before these settings existed if none is used", () => {
    expect(drainArgs(usual)).toEqual({ enabled: true, timeoutSeconds: 300 });
    expect(drainUnlessDefault(drainArgs(usual))).toBeUndefined();
    expect(storageGateArgs({ timeout: 300 })).toBeUndefined();
    expect(storageGateArgs({ timeout: 300 }, { pools: [{}] })).toBeUndefined();
  });

  it("follow the settings", () => {
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

  it("turn the gate on for a JovianDSS driver whose name the provider does not know", () => {
    const renamed = [{ driver: { name: "iscsi.csi.pool-1.example.com" } }];
    expect(storageGateArgs({ timeout: 300 }, { pools: renamed })).toEqual({ enabled: true });
    expect(storageGateArgs({ timeout: 300 }, { pools: [{}, ...renamed] })).toBeUndefined();
  });
});
