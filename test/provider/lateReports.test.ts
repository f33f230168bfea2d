import { beforeEach, describe, expect, it } from "vitest";
import { upgradeNode, type Outcome } from "../../provider/upgrade.ts";
import { TalosError } from "../../talos/api/errors.ts";
import type { TalosActor } from "../../talos/api/talosClient.ts";
import { FakeFleet, type Image, type Machine } from "../unit/provider/fakeFleet.ts";
import { openSession, wanted } from "../unit/provider/randomRollouts.ts";

// After a boot, a node reports what it runs bit by bit. What it has not reported yet counts as neither old nor new.

const vanilla: Image = { version: wanted.version, schematic: undefined };
const otherSchematic: Image = { version: wanted.version, schematic: "b".repeat(64) };
const otherRelease: Image = { version: "v1.13.7", schematic: "b".repeat(64) };

/** A node's answers before it knows one fact. */
type Report = Partial<Pick<TalosActor, "version" | "extensions" | "services" | "hasFile" | "machineStatus">>;

const silent = async (): Promise<never> => {
  throw new TalosError("unreachable", "w1", "version", "connection refused");
};
const nothingYet = {
  schematic: { extensions: async () => ({ installed: [], schematicId: undefined }) },
  extensions: { extensions: async () => ({ installed: [], schematicId: wanted.schematic }) },
  services: { services: async () => [] },
  file: { hasFile: async () => false },
  release: { version: silent },
} satisfies Record<string, Report>;
type Late = keyof typeof nothingYet;

let fleet: FakeFleet;
/** How many more reads of the booted node lack the fact. */
let lateReads: number;
let bootedFrom: number;

beforeEach(() => {
  bootedFrom = 1;
});

function start(runs: Image, late: Late, reads: number): void {
  const machine = (name: string, role: Machine["role"], address: string): Machine => ({
    ...{ name, role, address, runs },
    ...{ boot: 0, away: 0, installs: 0, boots: 0 },
  });
  fleet = new FakeFleet([
    machine("cp1", "controlplane", "10.0.0.1"),
    machine("w1", "worker", "10.0.1.1"),
    machine("w2", "worker", "10.0.1.2"),
  ]);
  lateReads = reads;
  const own = fleet.client.bind(fleet);
  const report: Report = nothingYet[late];
  fleet.client = (address) =>
    new Proxy(own(address), {
      get: (target, property) => {
        const unknown = report[property as keyof Report];
        const { boot } = fleet.get("w1");
        if (unknown !== undefined && address === "10.0.1.1" && boot >= bootedFrom && lateReads > 0) {
          lateReads -= 1;
          return unknown;
        }
        const member: unknown = Reflect.get(target, property, target);
        return typeof member === "function" ? (member.bind(target) as unknown) : member;
      },
    });
}

async function upgrade(): Promise<Outcome> {
  const files = { files: ["/usr/local/sbin/iscsiadm"] };
  const { context } = await openSession(fleet, fleet.get("w1"), ["10.0.0.1"], files);
  return upgradeNode(context);
}

const late: Late[] = ["schematic", "extensions", "services", "file", "release"];

describe.each([
  ["the vanilla image of the same release", vanilla],
  ["another schematic of the same release", otherSchematic],
  ["another release", otherRelease],
])("a node that ran %s", (_, before) => {
  it.each(late)("and reports its %s a poll late is upgraded once, and uncordoned", async (what) => {
    start(before, what, 1);
    const outcome = await upgrade();
    expect(outcome.ok ? outcome.facts.schematicId : outcome.error.message).toBe(wanted.schematic);
    expect(lateReads).toBe(0);
    expect(fleet.get("w1")).toMatchObject({ installs: 1, boots: 1, runs: wanted });
    expect(fleet.kubernetes.get("w1")).toMatchObject({ unschedulable: false, annotations: {} });
  });

  it.each(late)(
    "and never reports its %s stays cordoned: unknown does not count as present",
    async (what) => {
      start(before, what, Infinity);
      const outcome = await upgrade();
      expect(outcome.ok ? "ok" : outcome.error.step).toBe("verify");
      expect(outcome.ok ? "" : outcome.error.message).not.toContain("its old image again");
      expect(fleet.get("w1")).toMatchObject({ installs: 1, boots: 1 });
      expect(fleet.kubernetes.get("w1").unschedulable).toBe(true);
    },
  );
});

describe("a node that already runs the wanted image", () => {
  it.each(late)("and reports its %s late is neither installed nor rebooted again", async (what) => {
    bootedFrom = 0;
    start(wanted, what, 3);
    expect((await upgrade()).ok).toBe(true);
    expect(lateReads).toBe(0);
    expect(fleet.get("w1")).toMatchObject({ installs: 0, boots: 0 });
  });
});
