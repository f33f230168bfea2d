import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { expect, it } from "vitest";
import { approvalFindings, approvalInRun } from "../../provider/approval.ts";
import { approvedPlanMismatch } from "../../provider/approvedPlan.ts";
import { configChanges } from "../../talos/configChanges.ts";
import {
  planDifferences,
  planDigest,
  formatPlanFile,
  planFromInput,
  canonicalPlan,
  parsePlanFile,
  type RolloutPlan,
} from "../../talos/rolloutPlan.ts";

const image = fc.record({ from: fc.string(), to: fc.string(), image: fc.string() });
const node = fc.record(
  {
    address: fc.ipV4(),
    role: fc.constantFrom("controlplane", "worker"),
    upgrade: image,
    configuration: fc.record({ lines: fc.array(fc.string()), digest: fc.string() }),
    joins: fc.record({ to: fc.string(), image: fc.string() }),
  },
  { requiredKeys: ["address", "role"] },
);
const name = fc.stringMatching(/^[a-z0-9][a-z0-9.-]{0,10}$/);
const plans = fc.record({
  stack: fc.string(),
  nodes: fc.dictionary(name, node),
  leaving: fc.dictionary(
    name,
    fc.record({ address: fc.ipV4(), way: fc.constantFrom("reset", "keep", "moved") }),
  ),
}) as fc.Arbitrary<RolloutPlan>;

/** A copy with every object's keys reversed. */
function reversed<T>(value: T): T {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner as unknown)]),
  ) as T;
}

it("a digest identifies a plan, independent of its key order, and as text or file", () => {
  fc.assert(
    fc.property(plans, plans, (plan, other) => {
      expect(planDigest(plan)).toMatch(/^[0-9a-f]{64}$/);
      expect(planDigest(reversed(plan))).toBe(planDigest(plan));
      expect(planFromInput(canonicalPlan(plan))).toEqual(plan);
      expect(parsePlanFile(formatPlanFile(plan))).toEqual(plan);
      expect(planDigest(other) === planDigest(plan)).toBe(canonicalPlan(other) === canonicalPlan(plan));
    }),
  );
});

it("plans with different digests have a reported difference, and equal ones have none", () => {
  fc.assert(
    fc.property(plans, plans, (plan, other) => {
      const isSame = planDigest(plan) === planDigest(other);
      expect(planDifferences(plan, other).length === 0).toBe(isSame);
      expect(planDifferences(plan, plan)).toEqual([]);
    }),
  );
});

const upgrade = { from: "v1.13.7 with schematic a", to: "v1.13.9 with schematic a", image: "i:v1.13.9" };
const approved: RolloutPlan = {
  stack: "prod",
  nodes: {
    cp1: { address: "10.0.0.11", role: "controlplane", upgrade },
    w1: {
      address: "10.0.0.21",
      role: "worker",
      configuration: { lines: ["~ machine.sysctls.a: 1 -> 2"], digest: "d1" },
    },
  },
  leaving: { w3: { address: "10.0.0.23", way: "reset" }, w4: { address: "10.0.0.24", way: "keep" } },
};

it("another plan is refused, and with the approved plan's file the differences are named", () => {
  const { cp1: _cp1, ...rest } = approved.nodes;
  const byHand: RolloutPlan = { ...approved, nodes: rest };
  const digest = planDigest(approved);
  expect(approvedPlanMismatch({ digest, plan: approved }, approved)).toBeUndefined();
  const named = approvedPlanMismatch({ digest, plan: approved }, byHand) ?? "";
  expect(named).toMatch(/cp1/);
  expect(named).not.toMatch(/w1|w3/);
  // With only the digest, every planned action is listed.
  expect(approvedPlanMismatch({ digest }, byHand)).toMatch(/w1[^]*w3|w3[^]*w1/);
  // A difference only in the part that a shortened line omits.
  const cut = structuredClone(approved);
  if (cut.nodes["w1"]?.configuration !== undefined) cut.nodes["w1"].configuration.digest = "d2";
  expect(approvedPlanMismatch({ digest, plan: approved }, cut)).toMatch(/w1/);
  // A plan that disturbs no node needs no approval.
  expect(
    approvedPlanMismatch({ digest, plan: approved }, { stack: "prod", nodes: {}, leaving: {} }),
  ).toBeUndefined();
});

it("an approval is only for this run and for what is in the plan", () => {
  const confirmed = { digest: "d", run: "run 1", program: "" };
  const approval = approvalInRun(confirmed, approved);
  const against = (
    name: string,
    action: "upgrade" | "configuration" | "leaving",
    run = "run 1",
    own: unknown = approval,
  ) => approvalFindings({ given: own, run }, name, action).length;
  expect(against("cp1", "upgrade")).toBe(0);
  expect(against("w1", "configuration")).toBe(0);
  expect(against("w3", "leaving")).toBe(0);
  expect(against("cp1", "configuration")).toBe(1);
  expect(against("w1", "upgrade")).toBe(1);
  expect(against("w4", "leaving")).toBe(1);
  expect(against("cp1", "upgrade", "run 2")).toBe(1);
  expect(against("cp1", "upgrade", "run 1", approvalInRun({ ...confirmed, digest: "none" }, approved))).toBe(
    1,
  );
  expect(against("cp1", "upgrade", "run 1", {})).toBe(1);
  expect(approvalFindings(undefined, "cp1", "upgrade")).toEqual([]);
});

it("the digest of configuration changes depends on secrets and shortened text, and reveals neither", () => {
  // Marks are only made with a random cluster secret.
  const secret = randomBytes(32).toString("base64");
  const config = (extra: string): string =>
    `version: v1alpha1\ncluster:\n  secret: ${secret}\nmachine:\n  type: worker\n${extra}`;
  const changes = (extra: string) =>
    configChanges({ running: config(""), wanted: config(extra), patches: [], accepted: [] });
  const password = (value: string): string =>
    `  registries:\n    config:\n      r.example.com:\n        auth:\n          username: u\n          password: ${value}\n`;
  const [one, other] = [changes(password("first-one-9")), changes(password("other-one-9"))];
  expect(one.digest).not.toBe(other.digest);
  expect(JSON.stringify([one, other])).not.toMatch(/first-one|other-one/);
  const long = (end: string): string => `  sysctls:\n    a: "${"x".repeat(300)}${end}"\n`;
  expect(changes(long("1")).lines).toEqual(changes(long("2")).lines);
  expect(changes(long("1")).digest).not.toBe(changes(long("2")).digest);
});
