import { describe, expect, it } from "vitest";
import { digestFromText } from "../../../report/digest/read.ts";
import { previewReport, type PreviewReport } from "../../../report/model/preview.ts";
import { previewHtml } from "../../../report/render/previewHtml.ts";
import { previewMarkdown } from "../../../report/render/previewMarkdown.ts";
import {
  driverSecret,
  nodeSteps,
  savedPreview,
  storageClass,
  timeline,
  urn,
  type FixtureNode,
  type SavedStep,
} from "./savedPreview.ts";

const at = Date.parse("2026-11-21T03:00:00Z");
const report = (text: string): PreviewReport => previewReport(digestFromText(text), at);

function cluster(workers: number, change: Partial<FixtureNode> = {}): FixtureNode[] {
  const node = (name: string, role: FixtureNode["role"]): FixtureNode => ({
    name,
    role,
    running: "v1.12.7",
    wanted: "v1.13.9",
    ...change,
  });
  return [
    ...["cp1", "cp2", "cp3"].map((name) => node(name, "controlplane")),
    ...Array.from({ length: workers }, (_, index) => node(`w${index + 1}`, "worker")),
  ];
}

const twoLanes = { config: { "talos-iscsi:upgrade": '{"workers":{"maxUnavailable":2}}' } };

describe("the verdict on a preview", () => {
  it.each<[string, string, string, string]>([
    [
      "an upgrade",
      savedPreview([...nodeSteps(cluster(2)), ...storageClass("same")]),
      "careful",
      "5 nodes will be upgraded from v1.12.7 to v1.13.9 and reboot, one at a time, control planes first; storage drivers stay.",
    ],
    [
      "one with two workers at a time",
      savedPreview(nodeSteps(cluster(4)), twoLanes),
      "careful",
      "7 nodes will be upgraded from v1.12.7 to v1.13.9 and reboot, one control plane at a time, then up to 2 workers at a time.",
    ],
    [
      "the way back",
      savedPreview(nodeSteps(cluster(0, { running: "v1.13.9", wanted: "v1.12.7" }))),
      "careful",
      "3 nodes will be rolled back from v1.13.9 to v1.12.7 and reboot, one control plane at a time.",
    ],
    [
      "nodes that nobody knows yet",
      savedPreview(nodeSteps([{ name: "cp1", role: "controlplane", wanted: "v1.13.9" }])),
      "careful",
      "1 node joins the stack: it reboots unless it already runs v1.13.9 with the wanted schematic.",
    ],
    [
      "a secret of the driver",
      savedPreview(driverSecret()),
      "calm",
      "No node reboots; the JovianDSS driver changes.",
    ],
    [
      "a storage class that goes",
      savedPreview([...nodeSteps(cluster(0)), ...storageClass("delete")]),
      "danger",
      "3 nodes will be upgraded from v1.12.7 to v1.13.9 and reboot, one control plane at a time; the JovianDSS driver changes.",
    ],
    [
      "an upgrade of Kubernetes",
      savedPreview([
        {
          op: "update",
          urn: urn("talos-node:index:KubernetesUpgrade", "kubernetes-upgrade"),
          oldState: { custom: true, inputs: { kubernetesVersion: "v1.35.4" } },
          newState: { custom: true, inputs: { kubernetesVersion: "v1.36.1" } },
        },
        ...storageClass("same"),
      ]),
      "careful",
      "No node reboots; Kubernetes goes from v1.35.4 to v1.36.1, one node at a time: API servers and kubelets restart; storage drivers stay.",
    ],
    ["nothing", savedPreview(storageClass("same")), "nothing", "Nothing changes."],
    [
      "a preview that failed",
      savedPreview(nodeSteps(cluster(0)), {
        diagnostics: [{ severity: "error", message: "error: no answer" }],
      }),
      "failed",
      "The preview failed with 1 error: this report does not show everything that would happen. Do not approve it.",
    ],
  ])("of %s", (_, text, level, sentence) => {
    expect(report(text).verdict).toEqual({ level, text: sentence });
  });
});

describe("the nodes of a preview", () => {
  it("are listed in rollout order, with their lanes, regardless of the engine's order", () => {
    const steps = nodeSteps(cluster(4));
    const { nodes } = report(savedPreview([...steps].reverse(), twoLanes));
    expect(nodes.map(({ name, lane }) => `${name}/${lane}`)).toEqual([
      ...["cp1/0", "cp2/0", "cp3/0"],
      ...["w1/0", "w2/1", "w3/0", "w4/1"],
    ]);
  });

  /** The preflight of a cluster whose second and third worker are a pool, which goes first. */
  function pooled(nodes: FixtureNode[]): SavedStep[] {
    const [preflight, ...others] = nodeSteps(nodes);
    const { inputs } = preflight?.newState as { inputs: Record<string, unknown> };
    inputs["rollout"] = {
      nodes: ["cp1", "cp2", "cp3", "w2", "w3", "w1"]
        .map((name) => `${name} 10.0.0.1 v1.13.9 c907`)
        .join(", "),
      budgets: [
        { group: "workers in pool edge", setting: "x", maxUnavailable: 2, nodes: "w2, w3" },
        { group: "workers", setting: "x", maxUnavailable: 1, nodes: "w1" },
      ],
      windows: [],
    };
    return preflight === undefined ? [] : [preflight, ...others];
  }

  it("are listed pool after pool, with each pool's own lanes", () => {
    const timed = cluster(3).map((node, index) => ({ ...node, timeline: timeline(100 + index) }));
    const found = report(savedPreview(pooled(timed)));
    expect(found.nodes.map(({ name, group, lane }) => `${name}/${group}/${lane}`)).toEqual([
      ...["cp1", "cp2", "cp3"].map((name) => `${name}/control planes/0`),
      ...["w2/workers in pool edge/0", "w3/workers in pool edge/1", "w1/workers/0"],
    ]);
    expect(found.verdict.text).toMatch(/one control plane at a time, then up to 2 workers at a time\.$/);
    expect(found.lastTook?.seconds).toBe(100 + 101 + 102 + 105 + 103);
    expect(previewHtml(found)).toMatch(/Workers in pool edge, 2 at a time.*Workers, one at a time/s);
    expect(previewMarkdown(found)).toMatch(
      /`cp3` \| control plane \|.*`w2` \| worker in pool edge, lane 1 \|.*`w1` \| worker \|/s,
    );
  });

  it("reboot only for another image", () => {
    const settled = cluster(1, { running: "v1.13.9" });
    const { nodes } = report(savedPreview(nodeSteps(settled)));
    expect(nodes.map(({ action, reboot }) => [action, reboot])).toEqual(nodes.map(() => ["verify", "no"]));
  });

  it("have what the preflight found if the state does not know them", () => {
    const steps = nodeSteps([
      { name: "cp1", role: "controlplane", wanted: "v1.13.9" },
      { name: "w1", role: "worker", wanted: "v1.13.9" },
      { name: "w2", role: "worker", wanted: "v1.13.9" },
      { name: "w3", role: "worker", wanted: "v1.13.9" },
      { name: "w4", role: "worker", wanted: "v1.13.9" },
    ]);
    const inputsOf = (step: SavedStep | undefined) =>
      (step?.newState as { inputs: Record<string, unknown> }).inputs;
    const changes = (name: string, line: string) => {
      const step = steps.find(({ urn: own }) => own.endsWith(`NodeConfiguration::cluster-config-${name}`));
      inputsOf(step)["changes"] = [line];
    };
    changes("w2", "+ everything: the machine waits for its first configuration");
    changes("w4", "not known: w4 (10.0.0.5) could not be read");
    inputsOf(steps[0])["plan"] = [
      "cp1: v1.12.7 with no schematic -> v1.13.9 with schematic c9078f941996…, one reboot",
      "w1: new in this stack -> v1.13.9 with schematic c9078f941996…",
      "w2: new in this stack -> v1.13.9 with schematic c9078f941996…",
      "w3: not read -> v1.13.9 with schematic c9078f941996…",
      "w4: new in this stack -> v1.13.9 with schematic c9078f941996…",
    ];
    const { nodes, verdict } = report(savedPreview(steps));
    expect(nodes.map(({ action, reboot, from }) => [action, reboot, from?.version])).toEqual([
      ["upgrade", "yes", "v1.12.7"],
      ["verify", "no", "v1.13.9"],
      ["join", "no", undefined],
      ["look", "maybe", undefined],
      ["look", "maybe", undefined],
    ]);
    expect(verdict.text).toMatch(
      /^1 node will be upgraded from v1\.12\.7 to v1\.13\.9 and reboots; 2 nodes join the stack/,
    );
  });

  it("with several hops reboot once per hop, and the time is estimated for all hops", () => {
    const steps = nodeSteps([
      // The state is older than the first hop, which a stopped run has taken.
      { name: "cp1", role: "controlplane", running: "v1.9.6", wanted: "v1.13.9", timeline: timeline(100) },
      { name: "w1", role: "worker", running: "v1.12.11", wanted: "v1.13.9", timeline: timeline(40) },
    ]);
    const inputs = (steps[0]?.newState as { inputs: Record<string, unknown> }).inputs;
    inputs["plan"] = {
      cp1: "v1.10.9 with schematic c9078f941996… -> v1.11.6 -> v1.12.11 -> v1.13.9 with schematic c9078f941996…, 3 reboots; etcd 3.5.26, storage 3.5.0 -> 3.6.12",
      w1: "v1.12.11 with schematic c9078f941996… -> v1.13.9 with schematic c9078f941996…, one reboot",
    };
    const found = report(savedPreview(steps));
    expect(found.nodes.map(({ hops }) => hops)).toEqual([["v1.11.6", "v1.12.11"], []]);
    expect(found.lastTook).toEqual({ seconds: 3 * 100 + 40, known: 2, due: 2 });
    expect(found.verdict.text).toMatch(/^2 nodes will be upgraded and reboot up to 3 times, one at a time/);
    const markdown = previewMarkdown(found);
    expect(markdown).toMatch(
      /upgraded from v1\.10\.9 through v1\.11\.6, v1\.12\.11 to v1\.13\.9 \| \*\*3 reboots\*\*/,
    );
  });

  it("that leave with a reset are listed as a loss", () => {
    const [, , ...worker] = nodeSteps([
      { name: "w1", role: "worker", running: "v1.13.9", wanted: "v1.13.9", op: "delete" },
    ]);
    const members = [{ name: "w1", node: "10.0.0.1", role: "worker" }];
    const membership = {
      op: "update",
      urn: urn("talos-node:index:ClusterMembership", "membership"),
      oldState: { custom: true, inputs: { nodes: members, onRemove: "reset" }, outputs: { members } },
      newState: { custom: true, inputs: { nodes: [], onRemove: "reset" } },
    };
    const { nodes, losses, verdict } = report(savedPreview([membership, ...worker]));
    expect(nodes).toMatchObject([{ name: "w1", action: "reset" }]);
    expect(losses).toMatchObject([{ operation: "reset", what: "Machine w1 (10.0.0.1)" }]);
    expect(verdict).toMatchObject({
      level: "danger",
      text: expect.stringContaining("w1 leaves the cluster and WILL BE WIPED") as string,
    });
  });

  it("show their last duration; the rollout takes the control planes plus the longest lane", () => {
    const nodes = cluster(3).map((node, index) => ({ ...node, timeline: timeline(100 + index) }));
    const { lastTook, nodes: plans } = report(savedPreview(nodeSteps(nodes), twoLanes));
    expect(plans.map(({ last }) => last?.seconds)).toEqual([100, 101, 102, 103, 104, 105]);
    expect(lastTook).toEqual({ seconds: 100 + 101 + 102 + 103 + 105, known: 6, due: 6 });
  });

  it("whose last upgrade failed count with the average of the others, and show what is unfinished", () => {
    const [cp1, cp2, cp3] = cluster(0);
    if (cp1 === undefined || cp2 === undefined || cp3 === undefined) throw new Error("three are there");
    const { lastTook, nodes } = report(
      savedPreview(
        nodeSteps([
          { ...cp1, timeline: timeline(100) },
          { ...cp2, timeline: timeline(300) },
          {
            ...cp3,
            timeline: timeline(5, { ended: "failed", failedStep: "reboot", reason: "it never went down" }),
            initErrors: ["it never went down"],
          },
        ]),
      ),
    );
    expect(lastTook).toEqual({ seconds: 600, known: 2, due: 3 });
    expect(nodes[2]).toMatchObject({
      unfinished: ["it never went down"],
      last: { result: "failed", failedStep: "reboot" },
    });
  });

  it("with the same configuration change are grouped", () => {
    const { configurations } = report(savedPreview(nodeSteps(cluster(2))));
    expect(configurations).toHaveLength(1);
    expect(configurations[0]?.nodes).toHaveLength(5);
    expect(configurations[0]?.configuration).toMatchObject({
      kind: "changed",
      diff: { added: 1, removed: 1 },
    });
  });
});

describe("a first configuration", () => {
  const first = nodeSteps([
    { name: "cp1", role: "controlplane", wanted: "v1.13.9" },
    { name: "cp2", role: "controlplane", wanted: "v1.13.9" },
  ]);

  it("lists its changes on the nodes, grouped if they are the same", () => {
    const { configurations } = report(savedPreview(first));
    expect(configurations).toHaveLength(1);
    expect(configurations[0]).toMatchObject({
      nodes: [{ name: "cp1" }, { name: "cp2" }],
      configuration: { kind: "first", onNode: [expect.stringMatching(/^~ machine\.install\.image: /)] },
    });
  });

  it("of a new cluster is unknown until its secrets exist", () => {
    const unknown = first.map((step) => {
      const { inputs } = step.newState as { inputs: Record<string, unknown> };
      return inputs["configuration"] === undefined
        ? step
        : {
            ...step,
            newState: { custom: true, inputs: { ...inputs, configuration: "[unknown]", changes: undefined } },
          };
    });
    expect(report(savedPreview(unknown)).configurations).toMatchObject([
      { configuration: { kind: "unknown" } },
    ]);
  });

  it("comes from the guard in a saved preview of 0.1.0", () => {
    const steps = nodeSteps(cluster(0)).map((step) => ({
      ...step,
      urn: step.urn.replace("NodeConfiguration", "ConfigurationGuard"),
    }));
    expect(report(savedPreview(steps)).configurations).toMatchObject([
      { configuration: { kind: "changed", diff: { added: 1, removed: 1 } } },
    ]);
  });
});

describe("a changed configuration", () => {
  it("has the lines of this change, and none of an earlier one", () => {
    const { configurations } = report(savedPreview(nodeSteps(cluster(0))));
    expect(configurations[0]?.configuration).toMatchObject({
      onNode: [expect.stringMatching(/^~ machine\.install\.image: /)],
    });
  });

  it("is not listed if only the resource's format changes, as when a stack of 0.1.0 migrates", () => {
    const steps = nodeSteps([{ name: "cp1", role: "controlplane", wanted: "v1.13.9", op: "update" }]).map(
      (step) => {
        if (!step.urn.includes("NodeConfiguration")) return step;
        const { inputs } = step.newState as { inputs: Record<string, unknown> };
        return {
          ...step,
          oldState: { custom: true, inputs },
          newState: { custom: true, inputs: { ...inputs, contract: "v1.12" } },
          detailedDiff: { contract: { diffKind: "add" } },
        };
      },
    );
    expect(report(savedPreview(steps)).configurations).toEqual([]);
  });
});

describe("the resources of a preview", () => {
  it("are counted as the engine does, including components and the stack", () => {
    const component = (op: string, name: string) => ({
      op,
      urn: urn("talos-iscsi:index:JovianDssCsi", name),
      ...(op === "create" ? {} : { oldState: { custom: false, inputs: { a: 1 } } }),
      newState: { custom: false, inputs: { a: 2 } },
    });
    const { counts } = report(
      savedPreview([component("create", "one"), component("update", "two"), component("same", "three")]),
    );
    expect(counts).toEqual({ create: 1, update: 1, replace: 0, delete: 0, same: 1 });
  });

  it("are counted without the engine's default providers", () => {
    const provider = (name: string) => ({
      op: "same",
      urn: urn("pulumi:providers:kubernetes", name),
      oldState: { custom: true, inputs: {} },
      newState: { custom: true, inputs: {} },
    });
    expect(report(savedPreview([provider("kubernetes"), provider("default_4_34_2")])).counts.same).toBe(1);
  });

  it("stay if only an earlier replacement of theirs is still to be deleted", () => {
    const [former] = storageClass("delete").map((step) => ({
      ...step,
      oldState: { ...(step.oldState as object), delete: true },
    }));
    const rest = former === undefined ? [] : [former];
    for (const steps of [
      [...storageClass("same"), ...rest],
      [...rest, ...storageClass("same")],
    ])
      expect(report(savedPreview(steps))).toMatchObject({ losses: [], counts: { delete: 0, same: 1 } });
    expect(report(savedPreview(rest))).toMatchObject({ losses: [{}], counts: { delete: 1 } });
  });

  it("have their changes by path, and a replacement counts as one change", () => {
    const { resources, counts, losses } = report(savedPreview(storageClass("replace")));
    expect(counts).toMatchObject({ replace: 1, create: 0, delete: 0 });
    expect(resources).toMatchObject([
      {
        operation: "replace",
        kind: "StorageClass",
        group: "JovianDSS driver",
        replaceKeys: ["parameters.pool"],
        changes: [{ path: "parameters.pool", before: "Pool-0", after: "Pool-1" }],
      },
    ]);
    expect(losses).toMatchObject([{ what: "StorageClass joviandss-sc", operation: "replace" }]);
  });

  it("show only that a secret changes", () => {
    const [change] = report(savedPreview(driverSecret())).resources;
    expect(change?.changes).toEqual([
      { path: 'stringData["config.yaml"]', kind: "changed", before: "[secret]", after: "[secret]" },
    ]);
  });

  it("that are retained on delete are no loss", () => {
    const [step] = storageClass("delete");
    const kept = { ...step, oldState: { ...(step?.oldState as object), retainOnDelete: true } };
    expect(report(savedPreview([kept as never])).losses).toEqual([]);
  });
});

describe("messages", () => {
  it("with the same text are merged with all their resources, and the engine's plugin messages are omitted", () => {
    const warning = { severity: "warning", message: "warning: etcd has 2 members\n" };
    const { warnings } = report(
      savedPreview(storageClass("same"), {
        diagnostics: [
          { severity: "warning", message: "warning: using pulumi-resource-talos from $PATH at /usr/bin/x\n" },
          { ...warning, urn: urn("a:b:C", "cp1") },
          { ...warning, urn: urn("a:b:C", "cp2") },
          { ...warning, message: "warning: cp1, cp2: etcd has 2 members", urn: urn("a:b:C", "preflight") },
          { severity: "info", message: "hello" },
        ],
      }),
    );
    expect(warnings).toEqual([{ text: "etcd has 2 members", resources: ["cp1", "cp2"] }]);
  });
});
