import { describe, expect, it } from "vitest";
import { digestFromText } from "../../../report/digest/read.ts";
import { previewReport, type PreviewReport } from "../../../report/model/preview.ts";
import { rolloutReport } from "../../../report/model/rollout.ts";
import { previewJson, previewVariables } from "../../../report/render/previewJson.ts";
import { previewMarkdown } from "../../../report/render/previewMarkdown.ts";
import {
  nodeSteps,
  savedPreview,
  storageClass,
  timeline,
  type FixtureNode,
  type SavedStep,
} from "./savedPreview.ts";
import { nodeSeconds, savedState, type UpgradedNode } from "./savedState.ts";

/** A program with several clusters, whose nodes have the same names and, behind different endpoints, the same addresses. */

const at = Date.parse("2026-11-21T03:00:00Z");
const component = "talos-iscsi:index:IscsiCluster";

/** The URN of a resource as part of an IscsiCluster, and that of its parent. */
function within(cluster: string, urn: string): { urn: string; parent: string } {
  const [head = "", types = "", name = ""] = urn.split(/::(?=[^:]*:index|[^:]*$)/);
  const whole = `${component}$${types}`;
  const outer = whole.split("$").slice(0, -1).join("$");
  const part = types.includes("TalosCluster")
    ? "-cluster"
    : types.includes("RollingUpgrade")
      ? "-upgrade"
      : "";
  return {
    urn: `${head}::${whole}::${cluster}-${name}`,
    parent: `${head}::${outer}::${cluster}${outer === component ? "" : part}`,
  };
}

function stepsWithin(cluster: string, steps: SavedStep[]): SavedStep[] {
  return steps.map((step) => {
    const { urn, parent } = within(cluster, step.urn);
    const owned = (state: unknown) => (state === undefined ? {} : { ...state, parent });
    return {
      ...step,
      urn,
      ...(step.oldState === undefined ? {} : { oldState: owned(step.oldState) }),
      ...(step.newState === undefined ? {} : { newState: owned(step.newState) }),
    };
  });
}

const node = (name: string, change: Partial<FixtureNode> = {}): FixtureNode => ({
  name,
  role: name.startsWith("cp") ? "controlplane" : "worker",
  running: "v1.12.7",
  wanted: "v1.13.9",
  ...change,
});

const settled = { running: "v1.13.9", op: "same" };
const report = (...clusters: [string, SavedStep[]][]): PreviewReport =>
  previewReport(
    digestFromText(savedPreview(clusters.flatMap(([name, steps]) => stepsWithin(name, steps)))),
    at,
  );

describe("a preview of a program with two clusters", () => {
  it("shows each cluster's nodes with their own change and configuration", () => {
    const { nodes, verdict } = report(
      ["edge1", nodeSteps([node("cp1", settled), node("w1", settled)])],
      ["edge2", nodeSteps([node("cp1"), node("w1", { wanted: "v1.12.11" })])],
    );
    expect(
      nodes.map(({ name, action, from, to, configuration }) => [
        ...[name, action, from?.version, to?.version],
        configuration.kind,
      ]),
    ).toEqual([
      ["edge1/cp1", "none", "v1.13.9", "v1.13.9", "same"],
      ["edge1/w1", "none", "v1.13.9", "v1.13.9", "same"],
      ["edge2/cp1", "upgrade", "v1.12.7", "v1.13.9", "changed"],
      ["edge2/w1", "upgrade", "v1.12.7", "v1.12.11", "changed"],
    ]);
    expect(verdict.text).toMatch(/^2 nodes will be upgraded and reboot/);
  });

  it("takes as long as the slower one, because clusters go at the same time", () => {
    const took = (seconds: number) => nodeSteps([node("cp1", { timeline: timeline(seconds) })]);
    expect(report(["edge1", took(100)], ["edge2", took(300)]).lastTook).toEqual({
      seconds: 300,
      known: 2,
      due: 2,
    });
  });

  it("names the cluster of what is lost, and each cluster's plan", () => {
    const readiness = (digest: string): SavedStep => ({
      op: "update",
      urn: "urn:pulumi:prod::talos-iscsi::talos-node:index:RolloutReadiness::readiness",
      oldState: { custom: true, inputs: {} },
      newState: {
        custom: true,
        inputs: { plan: { stack: "prod", nodes: {}, leaving: {} }, planDigest: digest },
      },
    });
    const both = report(
      ["edge1", [...nodeSteps([node("cp1")]), ...storageClass("delete"), readiness("a".repeat(64))]],
      ["edge2", [...nodeSteps([node("cp1")]), ...storageClass("same"), readiness("b".repeat(64))]],
    );
    expect(both.losses.map(({ what }) => what)).toEqual(["StorageClass joviandss-sc of edge1"]);
    expect(both.verdict.text).toContain("the JovianDSS driver of edge1 changes");
    expect(both.approvals.map(({ cluster, digest }) => [cluster, digest[0]])).toEqual([
      ["edge1", "a"],
      ["edge2", "b"],
    ]);
    expect(previewMarkdown(both)).toContain(`Plan of edge2 \`${"b".repeat(64)}\``);
    expect(previewVariables(both)).toContain("TALOS_ISCSI_APPROVED_PLAN=none");
    expect(JSON.parse(previewJson(both))).toMatchObject({
      approvals: [{ cluster: "edge1" }, { cluster: "edge2" }],
    });
  });
});

describe("a rollout report of a program with two clusters", () => {
  const stateOf = (clusters: Record<string, UpgradedNode[]>): unknown => {
    const each = Object.entries(clusters).map(([cluster, nodes]) => {
      const { resources } = (savedState(nodes) as { deployment: { resources: { urn: string }[] } })
        .deployment;
      return resources.slice(1).map((one) => ({ ...one, ...within(cluster, one.urn) }));
    });
    return { version: 3, deployment: { resources: each.flat() } };
  };

  it("counts the nodes of each cluster, and forgets no failure of the other", () => {
    const turn = nodeSeconds + 1;
    const found = rolloutReport(
      stateOf({
        edge1: [
          { name: "cp1", begun: 0, failedStep: "reboot" },
          { name: "w1", running: "v1.12.7" },
        ],
        edge2: [
          { name: "cp1", begun: 2 },
          { name: "w1", begun: 2 + turn },
        ],
      }),
      at,
    );
    expect(found.result).toBe("failed");
    expect(found.verdict).toBe(
      "edge1: edge1/cp1 failed at step reboot: 0 of 2 nodes reached v1.13.9; edge1/w1 was not started. edge2: 2 nodes reached v1.13.9, none failed.",
    );
    expect(found.rollouts.map(({ nodes }) => nodes.map(({ name }) => name))).toEqual([
      ["edge2/cp1", "edge2/w1"],
      ["edge1/cp1"],
    ]);
  });
});
