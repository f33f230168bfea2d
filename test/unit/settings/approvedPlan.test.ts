import { expect, it } from "vitest";
import { parseSettings, SettingsError } from "../../../config.ts";
import { planDigest, formatPlanFile, type RolloutPlan } from "../../../talos/rolloutPlan.ts";
import { minimalSettings } from "./example.ts";

const plan: RolloutPlan = { stack: "dev", nodes: {}, leaving: { w1: { address: "10.0.0.21", way: "keep" } } };
const digest = planDigest(plan);
const files: Record<string, string> = { "reports/plan-dev.json": formatPlanFile(plan), "other.json": "{}" };

function read(path: string): string {
  const text = files[path];
  if (text === undefined) throw new Error("no such file");
  return text;
}

function problems(approvedPlan: string): string[] {
  try {
    parseSettings({ ...minimalSettings(), approvedPlan }, read, {});
    return [];
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return error.problems.map(({ path }) => path);
  }
}

it("approvedPlan is a digest, a digest with its plan's file, or none; the environment takes precedence", () => {
  const settings = (given: object, environment = {}) =>
    parseSettings({ ...minimalSettings(), ...given }, read, environment).approvedPlan;
  expect(settings({})).toBeUndefined();
  expect(settings({ approvedPlan: digest })).toEqual({ digest });
  expect(settings({ approvedPlan: `${digest}@reports/plan-dev.json` })).toEqual({ digest, plan });
  expect(settings({ approvedPlan: digest }, { TALOS_ISCSI_APPROVED_PLAN: "none" })).toEqual({
    digest: "none",
  });
  // A pipeline that lost the digest must deploy nothing instead of anything.
  for (const given of [{}, { approvedPlan: digest }])
    expect(() => settings(given, { TALOS_ISCSI_APPROVED_PLAN: "" })).toThrow(SettingsError);
});

it("approvedPlan is refused in another form, and with another plan's file", () => {
  for (const wrong of [
    "abc",
    `${digest}@missing.json`,
    `${digest}@other.json`,
    `${"0".repeat(64)}@reports/plan-dev.json`,
  ])
    expect(problems(wrong)).toEqual(["approvedPlan"]);
});
