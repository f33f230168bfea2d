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

/** The same with every object's keys the other way round. */
function reversed<T>(value: T): T {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner as unknown)]),
  ) as T;
}

it("a digest is that of the plan: in any order, as a text and from its file the same, of another plan another", () => {
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

it("plans with different digests have a difference that is told, and equal ones have none", () => {
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

it("another plan is refused and the differences are named, where the approved one's file is given", () => {
  const { cp1: _cp1, ...rest } = approved.nodes;
  const byHand: RolloutPlan = { ...approved, nodes: rest };
  const digest = planDigest(approved);
  expect(approvedPlanMismatch({ digest, plan: approved }, approved)).toBeUndefined();
  const named = approvedPlanMismatch({ digest, plan: approved }, byHand) ?? "";
  expect(named).toMatch(/cp1/);
  expect(named).not.toMatch(/w1|w3/);
  // With the digest alone all that would be done is told.
  expect(approvedPlanMismatch({ digest }, byHand)).toMatch(/w1[^]*w3|w3[^]*w1/);
  // Only what a cut line does not show.
  const cut = structuredClone(approved);
  if (cut.nodes["w1"]?.configuration !== undefined) cut.nodes["w1"].configuration.digest = "d2";
  expect(approvedPlanMismatch({ digest, plan: approved }, cut)).toMatch(/w1/);
  // Nothing is left that could disturb a node.
  expect(
    approvedPlanMismatch({ digest, plan: approved }, { stack: "prod", nodes: {}, leaving: {} }),
  ).toBeUndefined();
});

it("an approval is for this run and for what is in the plan", () => {
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

it("the digest of a configuration's lines changes with a secret's mark and with what is cut, and holds neither", () => {
  // Marks are made with a secret that nobody made up.
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
