import { describe, expect, it } from "vitest";
import { quorumWithout, type EtcdAnswer } from "../../../provider/gate/quorum.ts";

// One rule for upgrades, configurations and removals.

const members = (count: number, learners: string[] = []) =>
  Array.from({ length: count }, (_, i) => `m${i + 1}`).map((id) => ({
    ...{ id, hostname: id, addresses: [], learner: learners.includes(id) },
  }));
const well = (memberId: string): EtcdAnswer => ({
  ...{ memberId, version: "3.6.12", storageVersion: "3.6.0", leader: "m1", learner: false, errors: [] },
});
const holds = (...args: Parameters<typeof quorumWithout>): boolean => quorumWithout(...args).holds;

describe("a majority without one member", () => {
  it("counts only healthy members", () => {
    expect(holds("m1", "for a while", members(3), [well("m2"), well("m3")])).toBe(true);
    expect(holds("m1", "for a while", members(3), [well("m2"), { error: "no answer" }])).toBe(false);
    expect(holds("", "for a while", members(1), [{ error: "no answer" }])).toBe(true);
  });

  it("does not count learners as voters", () => {
    const four = members(4, ["m4"]);
    expect(quorumWithout("m1", "for a while", four, [well("m2"), well("m3")])).toMatchObject({
      of: 3,
      holds: true,
    });
  });

  it("for good, is a majority of the remaining members", () => {
    expect(holds("m1", "for good", members(2), [well("m2")])).toBe(true);
    expect(holds("m1", "for good", members(1), [])).toBe(false);
    expect(holds("m1", "for good", members(3), [well("m2")])).toBe(false);
  });

  it("of two, needs the other member to be healthy if the change may harm the first", () => {
    expect(holds("m1", "at risk", members(2), [well("m2")])).toBe(true);
    expect(holds("m1", "at risk", members(2), [{ error: "no answer" }])).toBe(false);
    expect(holds("m1", "for a while", members(2), [well("m2")])).toBe(false);
  });
});
