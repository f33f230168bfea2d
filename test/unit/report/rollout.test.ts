import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rolloutReport, type RolloutReport } from "../../../report/model/rollout.ts";
import { timeAxis } from "../../../report/model/timeAxis.ts";
import { rolloutHtml } from "../../../report/render/rolloutHtml.ts";
import { rolloutText } from "../../../report/render/rolloutTable.ts";
import { canary } from "./savedPreview.ts";
import { nodeSeconds, savedState, type UpgradedNode } from "./savedState.ts";

const at = Date.parse("2026-11-21T03:00:00Z");
const report = (nodes: UpgradedNode[]): RolloutReport => rolloutReport(savedState(nodes), at);

const inTurn = (names: string[], change: Partial<UpgradedNode> = {}): UpgradedNode[] =>
  names.map((name, index) => ({ name, begun: index * (nodeSeconds + 1), ...change }));

describe("a rollout report", () => {
  it("says that all nodes are done", () => {
    const { verdict, result, rollouts } = report(inTurn(["cp1", "cp2", "cp3", "w1", "w2"]));
    expect({ verdict, result }).toEqual({ verdict: "5 nodes reached v1.13.9, none failed.", result: "done" });
    expect(rollouts).toHaveLength(1);
  });

  it("counts a node once whose replaced resource still waits for its deletion", () => {
    const saved = savedState([...inTurn(["cp1", "w1"]), { name: "w1", running: "v1.12.7" }]);
    const { resources } = (saved as { deployment: { resources: object[] } }).deployment;
    Object.assign(resources.at(-1) ?? {}, { delete: true });
    const { verdict, never } = rolloutReport(saved, at);
    expect({ verdict, never }).toEqual({ verdict: "2 nodes reached v1.13.9, none failed.", never: [] });
  });

  it("shows each hop as a separate rollout", () => {
    const turn = nodeSeconds + 1;
    const hop = (to: string, first: number): UpgradedNode[] =>
      ["cp1", "w1"].map((name, index) => ({ name, to, begun: (first + index) * turn }));
    const last = ["cp1", "w1"].map((name, index) => ({ name, begun: (4 + index) * turn }));
    const found = rolloutReport(savedState(last, [...hop("v1.11.6", 0), ...hop("v1.12.11", 2)]), at);
    expect(found.verdict).toBe("2 nodes reached v1.13.9, none failed.");
    expect(found.rollouts.map(({ to, nodes }) => [to.map(({ version }) => version), nodes.length])).toEqual([
      [["v1.13.9"], 2],
      [["v1.12.11"], 2],
      [["v1.11.6"], 2],
    ]);
    expect(rolloutText(found)).toContain("v1.11.6");
  });

  it("shows the last Kubernetes upgrade, with its parts and why it failed", () => {
    const timeline = {
      ...{ from: "v1.35.4", to: "v1.36.1", started: "2026-11-21T02:30:00.000Z", seconds: 254 },
      ...{ ended: "failed", reason: "w1 (10.0.0.21), kubelet: it does not run v1.36.1 within 1800 s." },
      steps: [
        { name: "kube-apiserver v1.36.1 on cp1", started: "2026-11-21T02:30:00.000Z", seconds: 74 },
        { name: "kubelet v1.36.1 on w1", started: "2026-11-21T02:31:14.000Z", seconds: 180 },
      ],
    };
    const state = (change: object) => {
      const saved = savedState(inTurn(["cp1"])) as { deployment: { resources: unknown[] } };
      const type = "talos-node:index:KubernetesUpgrade";
      const outputs = { kubernetesVersion: "v1.36.1", timeline: { ...timeline, ...change } };
      saved.deployment.resources.push({ urn: `urn:pulumi:prod::talos-iscsi::${type}::k`, type, outputs });
      return rolloutReport(saved, at);
    };
    const failed = state({});
    expect(failed).toMatchObject({
      result: "failed",
      verdict: "1 node reached v1.13.9, none failed. The upgrade of Kubernetes to v1.36.1 did not finish.",
    });
    for (const text of [rolloutText(failed), rolloutHtml(failed)]) {
      expect(text).toContain("Kubernetes v1.35.4 to v1.36.1: failed after 4 min 14 s.");
      expect(text).toMatch(
        /kube-apiserver v1\.36\.1 on cp1[^]*02:30[^]*1 min 14 s[^]*kubelet v1\.36\.1 on w1/,
      );
      expect(text).toContain("it does not run v1.36.1 within 1800 s.");
    }
    const done = state({ ended: "upgraded", reason: undefined });
    expect(done).toMatchObject({ result: "done", verdict: "1 node reached v1.13.9, none failed." });
    expect(rolloutText(done)).toContain("done in 4 min 14 s");
    expect(state({ started: "yesterday" })).not.toHaveProperty("kubernetes");
  });

  it("says where the rollout failed and which nodes were not started", () => {
    const nodes = inTurn(["cp1", "cp2", "cp3"]);
    const failed = {
      name: "w1",
      begun: 3 * (nodeSeconds + 1),
      failedStep: "reboot",
      reason: "it never went down",
    };
    const waiting = { name: "w2", running: "v1.12.7" };
    const found = report([...nodes, failed, waiting]);
    expect(found).toMatchObject({
      result: "failed",
      verdict: "w1 failed at step reboot: 3 of 5 nodes reached v1.13.9; w2 was not started.",
    });
    const text = rolloutText(found);
    expect(text).toContain("failed at reboot");
    expect(text).toContain("it never went down");
    expect(text).toContain("Never upgraded by this stack: w2");
  });

  it("does not count nodes that an earlier rollout upgraded shortly before", () => {
    const before = inTurn(["cp2", "w1"], { to: "v1.12.8", running: "v1.12.8" });
    const failed = {
      ...{ name: "cp1", from: "v1.12.8", begun: 2 * (nodeSeconds + 1) },
      ...{ failedStep: "install", reason: "exit code 3" },
    };
    const { rollouts, verdict } = report([...before, failed]);
    expect(rollouts.map(({ to }) => to.map(({ version }) => version))).toEqual([["v1.13.9"], ["v1.12.8"]]);
    expect(verdict).toMatch(/^cp1 failed at step install: 0 of 3 nodes reached v1\.13\.9/);
  });

  it("names a node that was upgraded but not verified afterwards", () => {
    const [first, second] = inTurn(["cp1", "w1"]);
    const found = report([
      first ?? { name: "" },
      { ...(second ?? { name: "" }), initErrors: ["ext-iscsid (Failed)"] },
    ]);
    expect(found.verdict).toBe("2 nodes reached v1.13.9; w1 could not be verified afterwards.");
    expect(rolloutText(found)).toContain("ext-iscsid (Failed)");
  });

  it("separates rollouts by a long wait, or by another image after a short one", () => {
    const sameImage = report([
      { name: "w1", begun: 0 },
      { name: "w2", begun: nodeSeconds + 600 },
    ]);
    expect(sameImage.rollouts).toHaveLength(1);
    const nextDay = report([
      { name: "w1", begun: 0 },
      { name: "w2", begun: 86_400 },
    ]);
    expect(nextDay.rollouts.map(({ nodes }) => nodes.map(({ name }) => name))).toEqual([["w2"], ["w1"]]);
    const otherImage = report([
      { name: "w1", begun: 0 },
      { name: "w2", begun: nodeSeconds + 60, to: "v1.13.7" },
    ]);
    expect(otherImage.rollouts).toHaveLength(2);
    const mixed = report([
      { name: "w1", begun: 0 },
      { name: "w2", begun: nodeSeconds + 1, to: "v1.13.7" },
    ]);
    expect(mixed.rollouts).toMatchObject([{ to: [{ version: "v1.13.9" }, { version: "v1.13.7" }] }]);
  });

  it("handles a stack without nodes, and refuses an invalid state", () => {
    expect(rolloutReport({ deployment: {} }, at)).toMatchObject({
      result: "none",
      verdict: "This stack has no nodes yet.",
    });
    expect(report([{ name: "w1" }])).toMatchObject({
      result: "none",
      verdict: "This stack has never upgraded any of its nodes.",
    });
    for (const odd of [null, [], {}, { deployment: { resources: [{}] } }])
      expect(() => rolloutReport(odd, at)).toThrow(/not what `pulumi stack export` prints/);
  });

  it("has no secret from the state, and escapes reasons", () => {
    const failed = {
      name: "<b>w1",
      begun: 0,
      failedStep: "drain",
      reason: `<script>alert(1)</script> -----BEGIN RSA PRIVATE KEY-----\n${canary}`,
    };
    const found = report([
      failed,
      { name: "w2", initErrors: [`-----BEGIN RSA PRIVATE KEY-----\n${canary}`] },
    ]);
    expect(rolloutHtml(found)).not.toContain("<script");
    expect(rolloutHtml(found)).not.toContain("<b>w1");
    for (const text of [rolloutHtml(found), rolloutText(found)]) expect(text).not.toContain(canary);
  });

  it("draws every labeled step, highlights the failure, and has the same data as numbers", () => {
    const html = rolloutHtml(report([{ name: "w1", begun: 0, failedStep: "verify" }]));
    for (const step of ["inspect", "pull", "drain", "install", "reboot", "verify"])
      expect(html).toContain(`<title>${step}: `);
    expect(html).toContain('class="failure-ground"');
    expect(html).toMatch(/<td class="number">96<\/td>/);
    expect(html).toContain('role="img"');
  });

  it("keeps a node's control characters out of the terminal", () => {
    const failed = { name: "w1", begun: 0, failedStep: "drain", reason: "\u001b[2Jgone" };
    expect(rolloutText(report([failed]))).not.toContain("\u001b");
  });
});

describe("the time axis", () => {
  it("cuts out a long wait, and keeps a short one to scale", () => {
    const axis = timeAxis([
      { from: 0, to: 100_000 },
      { from: 7_200_000, to: 7_300_000 },
    ]);
    expect(axis.breaks).toMatchObject([{ seconds: 7_100 }]);
    expect(axis.at(100_000)).toBeGreaterThan(45);
    const whole = timeAxis([
      { from: 0, to: 100_000 },
      { from: 120_000, to: 200_000 },
    ]);
    expect(whole.breaks).toEqual([]);
    expect(whole.at(100_000)).toBe(50);
  });

  it("goes from 0 to 100 without going back, and its ticks do not overlap", () => {
    const span = fc
      .tuple(fc.nat(10_000_000), fc.nat(100_000))
      .map(([from, length]) => ({ from, to: from + length }));
    fc.assert(
      fc.property(fc.array(span, { minLength: 1, maxLength: 20 }), (work) => {
        const axis = timeAxis(work);
        const moments = work.flatMap(({ from, to }) => [from, to]).sort((a, b) => a - b);
        const places = moments.map((moment) => axis.at(moment));
        expect(places).toEqual([...places].sort((a, b) => a - b));
        expect(places[0]).toBe(0);
        expect(places.at(-1)).toBeLessThanOrEqual(100);
        const gaps = axis.ticks.slice(1).map(({ at: place }, index) => place - (axis.ticks[index]?.at ?? 0));
        expect(gaps.filter((gap) => gap < 23.9)).toEqual([]);
        expect(axis.ticks.length).toBeGreaterThan(0);
      }),
    );
  });
});
