import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { rolloutPolicySchema } from "../../talos/inputs/rolloutPolicy.ts";
import { formatMembers } from "../../talos/rolloutMembers.ts";
import { realClock, type Clock } from "../../provider/clock.ts";
import type { Properties } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { expectFailure, createHarness, inputsFor, urn, type Harness } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

let cluster: SimulatedCluster;
let kubernetes: FakeKubernetes;

beforeEach(async () => {
  cluster = await SimulatedCluster.start({
    subnet: "127.49.15",
    version: "v1.13.7",
    workers: 3,
    runtime: {
      kubeletUp: async ({ name }) => {
        const node = kubernetes?.cluster.get(name);
        if (node !== undefined)
          Object.assign(node, { ready: true, bootId: cluster.node(name).snapshot().bootId });
      },
      kubeletDown: async ({ name }) => {
        const node = kubernetes?.cluster.get(name);
        if (node !== undefined) Object.assign(node, { ready: false, reason: "it reboots" });
      },
    },
  });
  kubernetes = new FakeKubernetes();
  for (const { name, address } of cluster.nodes) kubernetes.add(name, address);
});
afterEach(async () => cluster.stop());

/** Sundays, in UTC. */
const sunday = { days: ["sun"], from: "00:00", to: "24:00", timeZone: "UTC" };
const [onSaturday, onSunday] = [Date.UTC(2026, 10, 28, 12), Date.UTC(2026, 10, 29, 12)];
const closed =
  "no upgrade window is open (it is Sat 2026-11-28 12:00 UTC); the next one opens Sun 2026-11-29 00:00 UTC";

function clockAt(calendar: () => number): Clock {
  return { ...realClock, calendar };
}

function policy(change: Properties = {}): { rollout: Properties } {
  return {
    rollout: {
      nodes: cluster.nodes.map(({ name, address }) => ({ name, node: address, talosVersion: "v1.13.9" })),
      budgets: [
        {
          group: "workers",
          setting: "upgrade.workers.maxUnavailable",
          nodes: ["w1", "w2", "w3"],
          maxUnavailable: 1,
        },
      ],
      windows: [],
      outsideWindow: "stop",
      ...change,
    },
  };
}

/** Inputs of a node that lacks nothing that later steps need. */
const lacksNothing = { extensions: [], services: [], files: [] };
const drained = { drain: { enabled: true, timeoutSeconds: 1 }, kubeconfig: "of a test" };

function at(calendar: () => number): Harness {
  return createHarness(kubernetes, { probeMs: 5_000 }, connectActor, clockAt(calendar));
}

describe("upgrade windows", () => {
  it("outside of all windows, a node is left untouched without an error, and the next deployment upgrades it", async () => {
    await at(() => onSunday).provider.create(urn, inputsFor(cluster, "cp1", { ...lacksNothing }));

    const inputs = inputsFor(cluster, "w1", { ...lacksNothing, ...policy({ windows: [sunday] }) });
    const early = at(() => onSaturday);
    const { id, outs } = await early.provider.create(urn, inputs);
    expect(cluster.node("w1").snapshot()).toMatchObject({ version: "v1.13.7", upgrades: 0, reboots: 0 });
    expect(outs).toMatchObject({ runningVersion: "v1.13.7", talosVersion: "v1.13.9" });
    const told = `${closed}. Done: cp1. Left: w1, w2, w3. The node runs its old image, untouched.`;
    expect(outs).toMatchObject({ postponed: told });
    expect(early.warnings).toEqual([`w1 (127.49.15.21) is postponed: ${told}`]);

    // What is done and what is left is reported once, by the first node that is left.
    const second = at(() => onSaturday);
    await second.provider.create(
      urn,
      inputsFor(cluster, "w2", { ...lacksNothing, ...policy({ windows: [sunday] }) }),
    );
    expect(second.warnings).toEqual([
      `w2 (127.49.15.22) is postponed: ${closed}. The node runs its old image, untouched.`,
    ]);

    const later = at(() => onSunday);
    expect(await later.provider.diff(id, urn, outs, inputs)).toEqual({ changes: true });
    const { outs: after } = await later.provider.update(id, urn, outs, inputs);
    expect(after).toMatchObject({ runningVersion: "v1.13.9" });
    expect(after).not.toHaveProperty("postponed");
    expect(await later.provider.diff(id, urn, after, inputs)).toEqual({ changes: false });
  });

  it("with outsideWindow: fail, the deployment fails with the state unchanged and the node untouched", async () => {
    const inputs = inputsFor(cluster, "w1", {
      ...lacksNothing,
      ...policy({ windows: [sunday], outsideWindow: "fail" }),
    });
    const { message, properties } = await expectFailure(at(() => onSaturday).provider.create(urn, inputs));
    expect(message).toContain(
      `w1 (127.49.15.21), step "guard": ${closed} [upgrade-window]. Done: none. Left: cp1, w1, w2, w3. Run \`pulumi up\` again when a window is open: it continues from here.`,
    );
    expect(properties).toMatchObject({ talosVersion: "v1.13.7", runningVersion: "v1.13.7" });
    expect(cluster.node("w1").snapshot()).toMatchObject({ upgrades: 0, reboots: 0 });
  });

  it("a node that lacks what the drivers need is not postponed", async () => {
    const inputs = inputsFor(cluster, "w1", policy({ windows: [sunday] }));
    const { message } = await expectFailure(at(() => onSaturday).provider.create(urn, inputs));
    expect(message).toContain(
      `${closed}. What comes after the rollout needs siderolabs/iscsi-tools, ext-iscsid, /usr/local/sbin/iscsiadm, which this node lacks [upgrade-window].`,
    );
    expect(cluster.node("w1").snapshot()).toMatchObject({ upgrades: 0, reboots: 0 });
  });

  it("a window that closes while a node waits for its turn stops it before the drain, with a note on what a reboot would start", async () => {
    let asked = 0;
    const closing = at(() => (asked++ === 0 ? onSunday : onSaturday));
    const inputs = inputsFor(cluster, "w1", {
      ...lacksNothing,
      ...drained,
      ...policy({ windows: [sunday] }),
    });
    const { outs } = await closing.provider.create(urn, inputs);
    expect(outs).toMatchObject({
      runningVersion: "v1.13.7",
      postponed: expect.stringContaining(
        "The new image is installed and starts with the next reboot, whatever causes it.",
      ) as string,
    });
    expect(kubernetes.log).toEqual([]);
    expect(cluster.node("w1").snapshot()).toMatchObject({ upgrades: 1, reboots: 0 });
  });

  it("a node that already runs the wanted image is verified at any time", async () => {
    const inputs = inputsFor(cluster, "w1", policy({ windows: [sunday] }));
    await at(() => onSunday).provider.create(urn, inputs);
    const { outs } = await at(() => onSaturday).provider.create(urn, inputs);
    expect(outs).toMatchObject({ runningVersion: "v1.13.9" });
    expect(outs).not.toHaveProperty("postponed");
  });
});

describe("the budget of a group", () => {
  it.each([
    ["cordoned", { unschedulable: true }, "w2 (cordoned)"],
    ["not ready", { ready: false, reason: "no route" }, "w2 (not ready: no route)"],
    [
      "left cordoned by an upgrade that failed",
      { unschedulable: true, annotations: { "talos-iscsi/cordoned-by": "talos-node" } },
      "w2 (cordoned by an unfinished upgrade)",
    ],
  ])("counts a node that is %s already", async (_, change, shown) => {
    Object.assign(kubernetes.get("w2"), change);
    const inputs = inputsFor(cluster, "w1", { ...drained, ...policy() });
    const { message } = await expectFailure(createHarness(kubernetes).provider.create(urn, inputs));
    expect(message).toContain(
      `w1 (127.49.15.21), step "gate": 1 of the workers is already unavailable, and at most 1 may be: ${shown} [workers-unavailable]. Bring it back (\`kubectl uncordon\`, or repair the machine), or raise upgrade.workers.maxUnavailable.`,
    );
    expect(kubernetes.log).toEqual([]);
    expect(cluster.node("w1").snapshot().reboots).toBe(0);
  });

  it("lets a node proceed as soon as there is room", async () => {
    kubernetes.get("w2").unschedulable = true;
    const inputs = inputsFor(cluster, "w1", { ...drained, ...policy() });
    const waiting = createHarness(kubernetes, { guardMs: 60_000 });
    const tick = setInterval(() => {
      if (waiting.status.some((line) => line.includes("gate"))) kubernetes.get("w2").unschedulable = false;
    }, 20);
    await waiting.provider.create(urn, inputs);
    clearInterval(tick);
    expect(cluster.node("w1").snapshot().version).toBe("v1.13.9");

    // The node's own cordon, and that of a control plane, do not count.
    kubernetes.get("cp1").unschedulable = true;
    kubernetes.get("w2").unschedulable = true;
    await createHarness(kubernetes).provider.create(
      urn,
      inputsFor(cluster, "w2", { ...drained, ...policy() }),
    );
    expect(cluster.node("w2").snapshot().version).toBe("v1.13.9");
  });

  it("finds a node with another name and address in Kubernetes, and counts one that does not answer", async () => {
    const wide = policy({
      budgets: [
        {
          group: "pool db",
          setting: "upgrade.pools.db.maxUnavailable",
          nodes: ["w1", "w2", "w3"],
          maxUnavailable: "34%",
        },
      ],
      nodes: cluster.nodes.map(({ name, address }) => ({
        name: name === "w2" ? "rack-7" : name,
        node: address,
        talosVersion: "v1.13.9",
      })),
    });
    const [budget] = (wide.rollout as { budgets: { nodes: string[] }[] }).budgets;
    budget?.nodes.push("rack-7");
    kubernetes.get("w2").addresses = ["192.0.2.7"];
    kubernetes.get("w2").unschedulable = true;
    const inputs = inputsFor(cluster, "w1", { ...drained, ...wide });
    const seen = await expectFailure(createHarness(kubernetes).provider.create(urn, inputs));
    expect(seen.message).toContain(
      "1 of the pool db is already unavailable, and at most 1 may be: rack-7 (cordoned)",
    );

    kubernetes.cluster.delete("w2");
    await cluster.node("w2").stop();
    const silent = await expectFailure(createHarness(kubernetes).provider.create(urn, inputs));
    expect(silent.message).toContain("rack-7 (does not answer)");
  });

  it("is checked on the machines if there is no kubeconfig", async () => {
    cluster.node("w2").faults.set("not-ready");
    while (cluster.node("w2").snapshot().ready) await new Promise((resolve) => setTimeout(resolve, 10));
    const { message } = await expectFailure(
      createHarness().provider.create(urn, inputsFor(cluster, "w1", policy())),
    );
    expect(message).toMatch(
      /1 of the workers is already unavailable, and at most 1 may be: w2 \(the machine is running, not ready/,
    );
  });

  it("two nodes at once do not both take the last place", async () => {
    kubernetes.get("w3").unschedulable = true;
    const wide = policy({
      budgets: [{ group: "workers", setting: "a setting", nodes: ["w1", "w2", "w3"], maxUnavailable: 2 }],
    });
    let most = 0;
    kubernetes.after = () => {
      const away = ["w1", "w2"].filter((name) => {
        const { unschedulable, ready } = kubernetes.get(name);
        return unschedulable || !ready;
      });
      most = Math.max(most, away.length);
    };
    const own = createHarness(kubernetes);
    await Promise.all(
      ["w1", "w2"].map((name) =>
        own.provider.create(urn, inputsFor(cluster, name, { ...drained, ...wide, timeoutSeconds: 20 })),
      ),
    );
    expect(most).toBe(1);
    for (const name of ["w1", "w2"]) expect(cluster.node(name).snapshot().version).toBe("v1.13.9");
    expect(kubernetes.get("w3").unschedulable).toBe(true);
  });
});

describe("the rollout policy", () => {
  it("reads nodes from a string as it does from a list", () => {
    const other = "f".repeat(64);
    const own = { talosVersion: "v1.13.9", schematicId: "c".repeat(64) };
    const nodes = [
      { name: "w1", node: "10.0.0.21", ...own },
      { name: "w2", node: "fd00::22", talosVersion: "v1.12.7", schematicId: other },
    ];
    const budget = { group: "workers", setting: "a setting", maxUnavailable: 1 };
    const listed = rolloutPolicySchema.parse({ nodes, budgets: [{ ...budget, nodes: ["w1", "w2"] }] });
    const text = formatMembers(nodes, own);
    const { nodes: read, budgets } = rolloutPolicySchema.parse({ nodes: text, budgets: [budget] });
    expect(read.map((node) => ({ ...own, ...node }))).toEqual(listed.nodes);
    expect(budgets).toEqual(listed.budgets);
    expect(
      rolloutPolicySchema.parse({ nodes: text, budgets: [{ ...budget, nodes: "w1, w2" }] }).budgets,
    ).toEqual(listed.budgets);
    expect(rolloutPolicySchema.parse({ nodes: "", budgets: [] }).nodes).toEqual([]);
    expect(rolloutPolicySchema.safeParse({ nodes: 3 }).error?.issues).toMatchObject([
      { path: ["nodes"], message: expect.stringMatching(/^must be a list or a string, not 3$/) as string },
    ]);
  });

  it("causes no diff by itself, not even with state from before these inputs", async () => {
    const { provider } = createHarness();
    const before = inputsFor(cluster, "w1");
    const { outs } = await provider.create(urn, before);
    const diff = (olds: Properties, news: Properties) => provider.diff("127.49.15.21", urn, olds, news);
    expect(await diff(outs, { ...before, ...policy() })).toEqual({ changes: false });
    // The engine keeps old inputs of unchanged resources but the outputs of the last update, so the two may differ.
    expect(await diff({ ...outs, ...policy() }, { ...before, ...policy() })).toEqual({ changes: false });
    const withPolicy = { ...outs, ...policy() };
    expect(await diff(withPolicy, { ...before, ...policy({ windows: [sunday] }) })).toEqual({
      changes: false,
    });
    expect(
      await diff(withPolicy, { ...before, ...policy({ windows: [sunday] }), timeoutSeconds: 9 }),
    ).toEqual({ changes: true, changed: ["timeoutSeconds"], details: { timeoutSeconds: "update" } });
  });

  it("causes no diff of the preflight, which refuses a rollout without room and warns in the preview", async () => {
    const preflightUrn = "urn:pulumi:dev::talos-iscsi::talos-node:index:RolloutPreflight::preflight";
    const shared = inputsFor(cluster, "w1", { ...drained, ...policy() });
    const nodes = ["w1", "w2"].map((name) => {
      const { node, role, talosVersion, image, extensions, services, files } = inputsFor(cluster, name);
      return { name, node, role, talosVersion, image, extensions, services, files };
    });
    const { schematicId, controlPlanes, clientConfiguration, kubeconfig, drain, timeoutSeconds, rollout } =
      shared;
    const inputs = {
      nodes,
      schematicId,
      controlPlanes,
      clientConfiguration,
      kubeconfig,
      drain,
      timeoutSeconds,
    };
    kubernetes.get("w3").unschedulable = true;

    const own = createHarness(kubernetes);
    await own.provider.check(preflightUrn, {}, { ...inputs, rollout });
    expect(own.warnings.filter((text) => text.includes("unavailable"))).toEqual([
      "the rollout would stop right now: 1 of the workers is already unavailable, and at most 1 may be: w3 (cordoned) [workers-unavailable]. Bring it back (`kubectl uncordon`, or repair the machine), or raise upgrade.workers.maxUnavailable.",
    ]);
    const { message } = await expectFailure(own.provider.create(preflightUrn, { ...inputs, rollout }));
    expect(message).toMatch(
      /^the rollout .*: 1 of 2 nodes .*\[rollout-refused\]\.\n {2}w1 .*w3 \(cordoned\)/,
    );

    const windows = { ...(rollout as object), windows: [sunday] };
    const saturday = at(() => onSaturday);
    await saturday.provider.check(preflightUrn, {}, { ...inputs, rollout: windows });
    expect(saturday.warnings).toContain(`${closed}: a deployment before that leaves the nodes as they are`);
    // Nothing goes down, so no room is needed.
    const { outs } = await saturday.provider.create(preflightUrn, { ...inputs, rollout: windows });
    expect(outs).toMatchObject({ due: ["w1", "w2"] });
    const before = { ...inputs, rollout: windows };
    expect(
      await saturday.provider.diff("preflight", preflightUrn, outs, { ...inputs, rollout }, before),
    ).toEqual({ changes: false });
  });
});
