import { describe, expect, it } from "vitest";
import { minimalSettings, parseOutcome, usualSettings, withValues } from "./example.ts";

/** Where controllers of drivers can run, judged by the nodes of the settings: otherwise `up` would wait for their pods until its time limit. */

const synology = (controller: object) => ({
  arrays: [{ host: "10.0.1.2", username: "kubernetes", password: "secret-of-a-test" }],
  controller,
});

const outcome = (controller: object, values: Record<string, unknown> = {}, settings = usualSettings()) =>
  parseOutcome(withValues({ ...settings, synology: synology(controller) }, values));
const found = (...given: Parameters<typeof outcome>) =>
  outcome(...given).problems.map(({ path, reason }) => `${path}: ${reason}`);
const controlPlaneTaint = "node-role.kubernetes.io/control-plane";

describe("replicas of a controller on the nodes' network", () => {
  it("need a node each", () => {
    const controller = { replicas: 3, hostNetwork: true };
    expect(found(controller)).toEqual([
      "synology.controller.replicas: is 3, but only 2 nodes of these settings can run the controller, and with hostNetwork each replica needs a node of its own; use at most 2, or let more nodes run it (nodeSelector, tolerations)",
    ]);
    expect(found({ ...controller, replicas: 2 })).toEqual([]);
    expect(found({ ...controller, hostNetwork: false })).toEqual([]);
    expect(found({ ...controller, tolerations: [{ key: controlPlaneTaint, operator: "Exists" }] })).toEqual(
      [],
    );
  });

  it("are counted per cluster without workers too", () => {
    expect(found({ replicas: 2, hostNetwork: true }, {}, minimalSettings())).toEqual([
      expect.stringMatching(
        /^synology\.controller\.replicas: is 2, but only 1 node of these settings can run/,
      ),
    ]);
  });

  it("count the nodes that the selector can match, by labels of nodes and pools", () => {
    const values = {
      "cluster.pools": { storage: { labels: { "example.com/pool": "storage" } } },
      "cluster.nodes[3].pool": "storage",
      "cluster.nodes[4].labels": { "example.com/pool": "compute" },
    };
    const controller = { replicas: 2, hostNetwork: true, nodeSelector: { "example.com/pool": "storage" } };
    expect(found(controller, values)).toEqual([
      expect.stringMatching(/^synology\.controller\.replicas: is 2, but only 1 node /),
    ]);
    // A label that the settings don't set may have been set with kubectl.
    expect(found({ ...controller, nodeSelector: { "example.com/rack": "1" } }, values)).toEqual([]);
    expect(found({ ...controller, nodeSelector: { "kubernetes.io/hostname": "w1" } })).toEqual([
      expect.stringMatching(/^synology\.controller\.replicas: is 2, but only 1 node /),
    ]);
  });

  it("count tainted nodes only if the controller tolerates the taint with its value and effect", () => {
    const values = { "cluster.nodes[4].taints": { "example.com/gpu": "a100:NoExecute" } };
    const controller = { replicas: 2, hostNetwork: true };
    const key = "example.com/gpu";
    const enough = [{ key, value: "a100" }, { key, operator: "Exists" }, { operator: "Exists" }];
    const tooLittle = [{ key }, { key, value: "h100" }, { key, operator: "Exists", effect: "NoSchedule" }];
    for (const toleration of enough)
      expect(found({ ...controller, tolerations: [toleration] }, values)).toEqual([]);
    for (const toleration of tooLittle)
      expect(found({ ...controller, tolerations: [toleration] }, values)).toHaveLength(1);
    expect(found(controller, { "cluster.nodes[4].taints": { [key]: "PreferNoSchedule" } })).toEqual([]);
  });

  it("count control planes whose taint patches or files may remove", () => {
    const controller = { replicas: 5, hostNetwork: true };
    const patch = { cluster: { allowSchedulingOnControlPlanes: true } };
    expect(found(controller, { "cluster.patches.controlplane": [patch] })).toEqual([]);
    expect(found(controller, { "cluster.patches.worker": [patch] })).toHaveLength(1);
  });
});

describe("a controller that no node of the settings can run", () => {
  it("is refused with any number of replicas", () => {
    expect(found({ nodeSelector: { [controlPlaneTaint]: "" } })).toEqual([
      "synology.controller: no node of these settings can run it, so its pods would stay Pending; change nodeSelector or tolerations",
    ]);
    expect(
      found({
        nodeSelector: { [controlPlaneTaint]: "" },
        tolerations: [{ key: controlPlaneTaint, operator: "Exists" }],
      }),
    ).toEqual([]);
    expect(
      found({ nodeSelector: { [controlPlaneTaint]: "true" }, tolerations: [{ operator: "Exists" }] }),
    ).toHaveLength(1);
    expect(found({ nodeSelector: { "kubernetes.io/os": "windows" } })).toHaveLength(1);
    expect(found({ nodeSelector: { "talos-iscsi/iscsi": "false" } })).toHaveLength(1);
    expect(
      found({ nodeSelector: { "talos-iscsi/iscsi": "false" } }, { "cluster.nodes[4].iscsi": false }),
    ).toEqual([]);
  });

  it("includes the snapshot controller", () => {
    const tainted = { "cluster.nodes[0].taints": { dedicated: "infra:NoSchedule" } };
    expect(
      parseOutcome(withValues({ ...minimalSettings(), snapshotController: {} }, tainted)).problems,
    ).toEqual([
      {
        path: "snapshotController",
        reason: "no node of these settings can run it, so its pods would stay Pending; change tolerations",
      },
    ]);
  });
});

describe("tolerations of control planes", () => {
  const tolerations = (
    controller: object,
    values: Record<string, unknown> = {},
    settings = minimalSettings(),
  ) => outcome(controller, values, settings).settings?.synology?.controller.tolerations;
  const added = { key: controlPlaneTaint, operator: "Exists", effect: "NoSchedule" };

  it("are added if the controller's own don't match the taint's empty value", () => {
    const other = { key: controlPlaneTaint, operator: "Equal", value: "true" };
    expect(tolerations({ tolerations: [other] })).toEqual([other, added]);
    const same = { key: controlPlaneTaint };
    expect(tolerations({ tolerations: [same] })).toEqual([same]);
  });

  it("are not added if the controller tolerates the taints of a worker", () => {
    const taints = {
      "cluster.nodes[3].taints": { dedicated: "infra:NoSchedule" },
      "cluster.nodes[4].taints": { gpu: "NoSchedule" },
    };
    const own = { key: "dedicated", operator: "Exists" };
    expect(tolerations({ tolerations: [own] }, taints, usualSettings())).toEqual([own]);
    expect(tolerations({}, taints, usualSettings())).toEqual([added]);
  });
});
