import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { etcdFindings, type ControlPlaneReport, type PeerReport } from "../../../provider/guards/etcd.ts";

const address = (i: number): string => `10.0.0.${11 + i}`;
const id = (i: number): string => String(1000 + i);

/** A healthy control plane. Node 0 is to be upgraded. */
function well(size: number): ControlPlaneReport {
  return {
    self: address(0),
    members: Array.from({ length: size }, (_, i) => ({
      id: id(i),
      hostname: `cp${i + 1}`,
      // Peer addresses may be in another network.
      addresses: [`192.168.0.${i + 1}`],
      learner: false,
    })),
    alarms: [],
    imageServices: ["ext-iscsid"],
    peers: Array.from({ length: size }, (_, i) => healthyPeer(i)),
  };
}

function healthyPeer(i: number): PeerReport {
  return {
    address: address(i),
    machine: { stage: "running", ready: true, unmet: [] },
    etcd: {
      memberId: id(i),
      version: "3.6.12",
      storageVersion: "3.6.0",
      leader: id(0),
      learner: false,
      errors: [],
    },
  };
}

const problems = (report: ControlPlaneReport): string[] => etcdFindings(report).map(({ problem }) => problem);

describe("may a control plane reboot?", () => {
  it.each([1, 3, 5, 7, 9])("yes, if all of %i are healthy", (size) => {
    expect(problems(well(size))).toEqual([]);
  });

  it("yes, if another one only lacks what the new image brings", () => {
    const unmet = (reason: string) => {
      const report = well(3);
      const other = report.peers[1];
      if (other?.error !== undefined || other === undefined) throw new Error("a healthy peer was expected");
      other.machine = { stage: "running", ready: false, unmet: [{ name: "services", reason }] };
      return problems(report);
    };
    expect(unmet("ext-iscsid not running")).toEqual([]);
    expect(unmet("ext-iscsid not running, kubelet not healthy")).toEqual([
      `control plane ${address(1)} is running, not ready (services ext-iscsid not running, kubelet not healthy)`,
    ]);
  });

  it("no, for one of two: the other is no majority", () => {
    expect(problems(well(2))).toEqual([
      "etcd would lose its majority: 1 of 2 members would remain healthy, 2 needed",
    ]);
  });

  it("no, while another control plane does not answer, in a cluster of any size", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 9 }), fc.nat(), (size, which) => {
        const report = well(size);
        const down = 1 + (which % (size - 1));
        report.peers[down] = { address: address(down), error: "connection refused" };
        expect(problems(report)).toContain(`control plane ${address(down)} is down: connection refused`);
      }),
    );
  });

  it("no, without a majority among those that answer", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 9 }),
        fc.uniqueArray(fc.integer({ min: 1, max: 8 })),
        (size, broken) => {
          const report = well(size);
          const down = broken.filter((i) => i < size);
          for (const i of down) report.peers[i] = { address: address(i), error: "no answer" };
          const left = size - 1 - down.length;
          const lost = left < Math.floor(size / 2) + 1;
          expect(problems(report).some((problem) => problem.startsWith("etcd would lose its majority"))).toBe(
            lost,
          );
        },
      ),
    );
  });

  it.each<[string, (report: ControlPlaneReport) => void, RegExp, boolean]>([
    ["a learner", (r) => (r.members[1]!.learner = true), /^etcd member cp2 is a learner$/, true],
    [
      "a member that never started",
      (r) => r.members.push({ id: "9", hostname: "", addresses: ["10.0.0.99"], learner: false }),
      /10\.0\.0\.99 was added and has never started/,
      true,
    ],
    [
      "a member of a machine that is gone",
      (r) => r.members.push({ id: "9", hostname: "old", addresses: ["10.0.0.99"], learner: false }),
      /^etcd member old does not run on any of the control planes 10\.0\.0\.11, 10\.0\.0\.12, 10\.0\.0\.13$/,
      false,
    ],
    [
      "NOSPACE",
      (r) => r.alarms.push({ memberId: id(2), alarm: "NOSPACE" }),
      /^etcd alarm NOSPACE at cp3$/,
      false,
    ],
    [
      "CORRUPT",
      (r) => r.alarms.push({ memberId: "77", alarm: "CORRUPT" }),
      /^etcd alarm CORRUPT at member 77$/,
      false,
    ],
    [
      "a control plane that boots",
      (r) =>
        Object.assign(r.peers[1]!, {
          machine: { stage: "booting", ready: false, unmet: [{ name: "services", reason: "etcd" }] },
        }),
      /^control plane 10\.0\.0\.12 is booting, not ready \(services etcd\)$/,
      true,
    ],
    [
      "an etcd without a leader",
      (r) =>
        Object.assign(r.peers[1]!, { etcd: { memberId: id(1), leader: "0", learner: false, errors: [] } }),
      /^etcd on 10\.0\.0\.12 has no leader$/,
      true,
    ],
    [
      "an etcd that says it is a learner",
      (r) =>
        Object.assign(r.peers[1]!, { etcd: { memberId: id(1), leader: id(0), learner: true, errors: [] } }),
      /^etcd on 10\.0\.0\.12 is a learner$/,
      true,
    ],
    [
      "an etcd that reports errors",
      (r) =>
        Object.assign(r.peers[0]!, {
          etcd: { memberId: id(0), leader: id(0), learner: false, errors: ["etcdserver: no leader"] },
        }),
      /^etcd on 10\.0\.0\.11 reports etcdserver: no leader$/,
      true,
    ],
    [
      "a control plane with another etcd",
      (r) => Object.assign(r.peers[1]!, { etcd: { memberId: "5", leader: "5", learner: false, errors: [] } }),
      /^control plane 10\.0\.0\.12 is not a member of this etcd cluster$/,
      true,
    ],
  ])("no, with %s", (_, spoil, says, mayPass) => {
    const report = well(3);
    spoil(report);
    const found = etcdFindings(report).find(({ problem }) => says.test(problem));
    expect(found?.mayPass).toBe(mayPass);
    expect(found?.hint).toMatch(/\.$/);
  });

  it("an alarm is reported once, and members with an alarm still count as voters", () => {
    const alarmed = (alarm: "NOSPACE" | "CORRUPT"): ControlPlaneReport => {
      const report = well(3);
      report.alarms.push({ memberId: id(2), alarm });
      const errors = [`memberID:${id(2)} alarm:${alarm} `];
      for (const peer of report.peers) if (peer.error === undefined) Object.assign(peer.etcd, { errors });
      return report;
    };
    expect(problems(alarmed("NOSPACE"))).toEqual(["etcd alarm NOSPACE at cp3"]);
    expect(problems(alarmed("CORRUPT"))).toEqual(["etcd alarm CORRUPT at cp3"]);
    // A member that is down has no vote, with or without an alarm.
    const report = alarmed("NOSPACE");
    report.peers[1] = { address: address(1), error: "no answer" };
    expect(problems(report)).toContainEqual(expect.stringMatching(/majority: 1 of 3 members/));
    // An error that is not among the alarms takes the vote.
    const other = alarmed("NOSPACE");
    other.alarms = [];
    expect(problems(other)).toContainEqual(expect.stringMatching(/majority: 0 of 3 members/));
  });

  it("a learner is reported once, and the hint suggests no third control plane if there are three", () => {
    const report = well(3);
    report.members[1]!.learner = true;
    Object.assign(report.peers[1]!, { etcd: { memberId: id(1), leader: id(0), learner: true, errors: [] } });
    const findings = etcdFindings(report);
    expect(findings.filter(({ problem }) => problem.includes("is a learner"))).toHaveLength(1);
    const majority = findings.find(({ votes }) => votes === true);
    expect(majority).toMatchObject({ mayPass: true, hint: expect.not.stringMatching(/third/) as string });
  });

  it("the readiness of the node itself is left to another guard", () => {
    const report = well(3);
    Object.assign(report.peers[0]!, { machine: { stage: "running", ready: false, unmet: [] } });
    expect(problems(report)).toEqual([]);
  });
});
