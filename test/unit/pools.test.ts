import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { laneCount, planUpgradeLanes, groupWorkers, type OrderedNode } from "../../talos/lanes.ts";
import { parseConfig } from "../../talos/configTree.ts";
import { nodePatch } from "../../talos/nodePatch.ts";
import { runProgram } from "./components/program.ts";
import { ofType, onlyResource } from "./components/recorder.ts";
import { withValues, parseOutcome, usualSettings } from "./settings/example.ts";
import { joviandss } from "./csi/plainSettings.ts";

const iscsi = "siderolabs/iscsi-tools";

/** Three control planes, two workers in a GPU pool, one in another pool and one without a pool. */
function pooled(more: Record<string, unknown> = {}): Record<string, unknown> {
  return withValues(usualSettings(), {
    images: {
      gpu: {
        schematic: {
          customization: {
            systemExtensions: { officialExtensions: [iscsi, "siderolabs/nvidia-container-toolkit-lts"] },
          },
        },
      },
    },
    "cluster.pools": {
      gpu: {
        image: "gpu",
        talosVersion: "v1.13.7",
        labels: { "example.com/gpu": "a100", rack: "r1" },
        taints: { "nvidia.com/gpu": "present:NoSchedule" },
        patches: [{ machine: { sysctls: { "vm.nr_hugepages": "1024" } } }],
        documents: [
          {
            apiVersion: "v1alpha1",
            kind: "UserVolumeConfig",
            name: "models",
            provisioning: { diskSelector: { match: "!system_disk" }, minSize: "10GB" },
          },
        ],
      },
      edge: { labels: { rack: "r9" } },
    },
    "cluster.nodes[3].pool": "gpu",
    "cluster.nodes[4].pool": "gpu",
    "cluster.nodes[4].labels": { rack: "r2" },
    "cluster.nodes[4].patches": [{ machine: { sysctls: { "vm.max_map_count": "262144" } } }],
    "cluster.nodes[5]": { name: "w3", address: "10.0.0.23", role: "worker", pool: "edge" },
    "cluster.nodes[6]": { name: "w4", address: "10.0.0.24", role: "worker" },
    ...more,
  });
}

describe("pools in the settings", () => {
  it("give their settings to their nodes, and a node's own settings take precedence", () => {
    const { settings, problems } = parseOutcome(pooled());
    expect(problems).toEqual([]);
    const [, , , w1, w2, w3, w4] = settings?.cluster.nodes ?? [];
    expect(w1).toMatchObject({
      image: "gpu",
      talosVersion: "v1.13.7",
      labels: { "example.com/gpu": "a100", rack: "r1" },
      taints: { "nvidia.com/gpu": "present:NoSchedule" },
    });
    expect(w1?.patches.map((text) => parse(text) as unknown)).toMatchObject([
      { kind: "UserVolumeConfig", name: "models" },
      { machine: { sysctls: { "vm.nr_hugepages": "1024" } } },
    ]);
    expect(w2).toMatchObject({ labels: { "example.com/gpu": "a100", rack: "r2" } });
    expect(w2?.patches).toHaveLength(3);
    expect(w2?.patches[2]).toContain("vm.max_map_count");
    expect(w3).toMatchObject({ talosVersion: "v1.13.9", labels: { rack: "r9" }, taints: {}, patches: [] });
    expect(w4).toMatchObject({ labels: {}, patches: [] });
    const own = { "cluster.nodes[3].talosVersion": "v1.13.9" };
    expect(parseOutcome(pooled(own)).settings?.cluster.nodes[3]?.talosVersion).toBe("v1.13.9");
  });

  it.each<[string, Record<string, unknown>, string, RegExp]>([
    [
      "a node names none of them",
      { "cluster.nodes[6].pool": "gpus" },
      "cluster.nodes[6].pool",
      /no cluster\.pools\.gpus; available: gpu, edge/,
    ],
    [
      "a budget is of none of them",
      { "upgrade.pools": { arm: {} } },
      "upgrade.pools.arm",
      /no cluster\.pools\.arm/,
    ],
    [
      "an image is not there",
      { "cluster.pools.edge.image": "pi" },
      "cluster.pools.edge.image",
      /no images\.pi/,
    ],
    [
      "a release is bad",
      { "cluster.pools.gpu.talosVersion": "v1.12.5", "cluster.pools.gpu.image": undefined },
      "cluster.pools.gpu.talosVersion",
      /v1\.12\.5/,
    ],
    [
      "a patch cannot work",
      { "cluster.pools.gpu.patches[0]": { machine: { install: { image: "x" } } } },
      "cluster.pools.gpu.patches[0]",
      /install\.image/,
    ],
    [
      "a node's patch after those of its pool cannot work",
      { "cluster.nodes[4].patches[0]": { machine: { install: { image: "x" } } } },
      "cluster.nodes[4].patches[0]",
      /install\.image/,
    ],
    [
      "a label is none",
      { "cluster.pools.gpu.labels.rack": "-r1-" },
      "cluster.pools.gpu.labels.rack",
      /not a valid label value/,
    ],
    [
      "a release is older than the contract",
      { talosContract: "v1.13", "cluster.pools.gpu.talosVersion": "v1.12.7" },
      "talosContract",
      /newer than cluster\.pools\.gpu\.talosVersion \(v1\.12\.7\)/,
    ],
    [
      "a release does not run the cluster's Kubernetes",
      { kubernetesVersion: "v1.36.1", "cluster.pools.gpu.talosVersion": "v1.12.7" },
      "kubernetesVersion",
      /does not fit cluster\.pools\.gpu\.talosVersion: Talos v1\.12\.7 runs/,
    ],
    [
      "a document of the pool is a node's as well",
      {
        "cluster.nodes[4].documents": [
          {
            apiVersion: "v1alpha1",
            kind: "UserVolumeConfig",
            name: "models",
            provisioning: { minSize: "1GB" },
          },
        ],
      },
      "cluster.nodes[4].documents[0]",
      /UserVolumeConfig models is also in cluster\.pools\.gpu\.documents\[0\];/,
    ],
    [
      "a node's label is none, whose name begins like a label of its pool",
      { "cluster.nodes[4].labels": { "example.com/gpu.count": "-4-" } },
      "cluster.nodes[4].labels.example.com/gpu.count",
      /not a valid label value/,
    ],
    [
      "a share is none",
      { "upgrade.pools": { gpu: { maxUnavailable: 0 } } },
      "upgrade.pools.gpu.maxUnavailable",
      /at least 1/,
    ],
    ["a name is none", { "cluster.pools.GPU": {} }, "cluster.pools.GPU", /lowercase letters/],
    [
      "a key is misspelt",
      { "cluster.pools.gpu.label": {} },
      "cluster.pools.gpu.label",
      /Did you mean labels\?/,
    ],
  ])("are refused once, at the place of the mistake, if %s", (_, change, path, reason) => {
    const { problems } = parseOutcome(pooled(change));
    expect(problems).toEqual([{ path, reason: expect.stringMatching(reason) as string }]);
  });

  it.each([
    ["an image is not there", { image: "pi" }, "image", /no images\.pi/],
    ["a release is bad", { talosVersion: "v1.12.5" }, "talosVersion", /v1\.12\.5/],
    ["a label is none", { labels: { rack: "-1-" } }, "labels.rack", /not a valid label value/],
    ["a taint is none", { taints: { gpu: "present" } }, "taints.gpu", /must end with an effect/],
  ])("without nodes are refused as well, if %s", (_, spare, key, reason) => {
    const { problems } = parseOutcome(pooled({ "cluster.pools.spare": spare }));
    const path = `cluster.pools.spare.${key}`;
    expect(problems).toEqual([{ path, reason: expect.stringMatching(reason) as string }]);
  });

  it("without nodes keep their image, which needs no iscsi-tools if they use no iSCSI", () => {
    const image = { overlay: { image: "siderolabs/sbc-raspberrypi", name: "rpi_generic" } };
    const { settings, problems } = parseOutcome(
      pooled({
        "images.pi": { architecture: "arm64", schematic: image },
        "cluster.pools.spare": { image: "pi", iscsi: false },
      }),
    );
    expect(problems).toEqual([]);
    expect(settings?.warnings).toEqual([{ path: "cluster.pools.spare", reason: "has no nodes" }]);
  });

  it("cause a warning if they have no nodes, or a budget without workers", () => {
    const { settings } = parseOutcome(
      pooled({
        "cluster.nodes[5].pool": undefined,
        "cluster.pools.cp": { labels: { rack: "r0" } },
        "cluster.nodes[0].pool": "cp",
        "upgrade.pools": { cp: { order: 3 } },
      }),
    );
    expect(settings?.warnings).toEqual([
      { path: "cluster.pools.edge", reason: "has no nodes" },
      { path: "upgrade.pools.cp", reason: expect.stringMatching(/has no workers/) as string },
    ]);
  });
});

describe("labels and taints", () => {
  const workers = (key: string) =>
    parseOutcome(withValues(usualSettings(), { "cluster.nodes[3].labels": { [key]: "x" } })).problems;

  // plugin/pkg/admission/noderestriction in Kubernetes: what a kubelet may set on its own node.
  it.each([
    "rack",
    "example.com/rack",
    "topology.kubernetes.io/zone",
    "node.kubernetes.io/instance-type",
    "node.kubernetes.io/anything",
    "sub.kubelet.kubernetes.io/x",
    "kubernetes.io/hostname",
    "mykubernetes.io/x",
  ])("may include %s on a worker", (key) => expect(workers(key)).toEqual([]));

  it.each([
    "node-role.kubernetes.io/worker",
    "node-restriction.kubernetes.io/pci",
    "kubernetes.io/role",
    "storage.k8s.io/x",
  ])("may not include %s on a worker, only on a control plane", (key) => {
    expect(workers(key)).toEqual([
      { path: `cluster.nodes[3].labels.${key}`, reason: expect.stringMatching(/NodeRestriction/) as string },
    ]);
    expect(
      parseOutcome(withValues(usualSettings(), { "cluster.nodes[0].labels": { [key]: "x" } })).problems,
    ).toEqual([]);
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ["labels.-x", { labels: { "-x": "1" } }, /not a valid label name/],
    ["labels.a/b/c", { labels: { "a/b/c": "1" } }, /not a valid label name/],
    [`labels.x`, { labels: { x: "y".repeat(64) } }, /not a valid label value/],
    ["labels.talos-iscsi/iscsi", { labels: { "talos-iscsi/iscsi": "true" } }, /use the node's iscsi/],
    ["taints.x", { taints: { x: "present" } }, /must end with an effect/],
    ["taints.x", { taints: { x: "present:Never" } }, /must end with an effect/],
    ["taints.x", { taints: { x: "a:b:NoSchedule" } }, /must end with an effect|not a valid taint value/],
    ["taints.-x", { taints: { "-x": "NoSchedule" } }, /not a valid taint name/],
  ])("are refused if invalid: %s", (path, own, reason) => {
    const entries = Object.entries(own).map(([key, value]) => [`cluster.nodes[0].${key}`, value]);
    const { problems } = parseOutcome(
      withValues(usualSettings(), Object.fromEntries(entries) as Record<string, unknown>),
    );
    expect(problems).toEqual([
      { path: `cluster.nodes[0].${path}`, reason: expect.stringMatching(reason) as string },
    ]);
  });

  it.each(["NoSchedule", ":NoExecute", "a100:PreferNoSchedule"])("may include the taint %s", (taint) => {
    expect(
      parseOutcome(withValues(usualSettings(), { "cluster.nodes[3].taints": { x: taint } })).problems,
    ).toEqual([]);
  });

  it("are written in the form of the contract", () => {
    const spec = { labels: { rack: "r1" }, taints: { x: "y:NoSchedule" } };
    const written = (role: "controlplane" | "worker", contract: string): unknown =>
      parse(nodePatch({ role, ...spec, contract }) ?? "");
    expect(written("controlplane", "v1.13")).toEqual({
      machine: { nodeLabels: spec.labels, nodeTaints: spec.taints },
    });
    for (const role of ["controlplane", "worker"] as const)
      expect(written(role, "v1.14")).toEqual({ apiVersion: "v1alpha1", kind: "KubeNodeConfig", ...spec });
    expect(nodePatch({ role: "worker", contract: "v1.13" })).toBeUndefined();
  });

  // siderolabs/talos#13443: Talos 1.13 sets nodeTaints with the kubelet's credentials, and fails together with the labels.
  it("are given to a worker's kubelet before contract 1.14, which registers the node with them", () => {
    const taints = { a: "x:NoSchedule", b: "NoExecute", c: ":PreferNoSchedule" };
    const patch = nodePatch({ role: "worker", labels: { rack: "r1" }, taints, contract: "v1.13" });
    expect(parse(patch ?? "")).toEqual({
      machine: {
        nodeLabels: { rack: "r1" },
        kubelet: {
          extraConfig: {
            registerWithTaints: [
              { key: "a", value: "x", effect: "NoSchedule" },
              { key: "b", effect: "NoExecute" },
              { key: "c", effect: "PreferNoSchedule" },
            ],
          },
        },
      },
    });
  });

  it("are left to Talos where the owner's file has the kubelet's own document, as from Talos 1.14 on", () => {
    const base = "machine:\n  type: worker\n---\napiVersion: v1alpha1\nkind: KubeletConfig\nimage: x\n";
    const patch = nodePatch({
      ...{ role: "worker", taints: { a: "NoExecute" }, contract: "v1.13" },
      base: parseConfig(base),
    });
    expect(parse(patch ?? "")).toEqual({ machine: { nodeTaints: { a: "NoExecute" } } });
  });

  it.each([
    [
      { kubelet: { extraConfig: { registerWithTaints: [{ key: "nvidia.com/gpu", effect: "NoSchedule" }] } } },
      /Kubernetes refuses a node with the same taint twice/,
    ],
    [
      { kubelet: { extraArgs: { "register-with-taints": "nvidia.com/gpu=:NoSchedule" } } },
      /has no effect with machine\.kubelet\.extraArgs\.register-with-taints/,
    ],
  ])("of a pool are refused if a patch keeps its workers from joining with them: %j", (machine, reason) => {
    const { problems } = parseOutcome(pooled({ "cluster.patches.worker": [{ machine }] }));
    expect(problems).toEqual([
      {
        path: "cluster.pools.gpu.taints.nvidia.com/gpu",
        reason: expect.stringMatching(reason) as string,
      },
    ]);
  });
});

describe("labels of a worker that Talos could not set", () => {
  const warned = (machine: object, more: Record<string, unknown> = {}) =>
    parseOutcome(
      withValues(usualSettings(), {
        "cluster.patches.worker": [{ machine }],
        "cluster.nodes[3].labels": { rack: "r1" },
        ...more,
      }),
    ).settings?.warnings;

  it.each([
    [{ nodeLabels: { "node-role.kubernetes.io/worker": "" } }, /the label node-role\.kubernetes\.io\/worker/],
    [{ nodeTaints: { dedicated: "x:NoSchedule" } }, /the taint dedicated in machine\.nodeTaints/],
  ])("cause a warning, because of %j", (machine, reason) => {
    expect(warned(machine)).toEqual([
      { path: "cluster.nodes", reason: expect.stringMatching(/^w1: /) as string },
    ]);
    expect(warned(machine)?.[0]?.reason).toMatch(reason);
    expect(warned(machine, { "cluster.nodes[4].iscsi": false })?.[0]?.reason).toMatch(/^w1, w2: /);
    expect(warned(machine, { "cluster.nodes[3].labels": {} })).toEqual([]);
  });

  it("cause none for labels that a worker may set", () => {
    expect(warned({ nodeLabels: { "topology.kubernetes.io/zone": "a" } })).toEqual([]);
  });
});

describe("a program with pools", () => {
  it("gives each node the labels, taints, patches, release and image of its pool", async () => {
    const { resources } = await runProgram(pooled());
    const upgrade = onlyResource(resources, "talos-node:index:NodeUpgrade", "upgrade-w2").inputs;
    expect(upgrade).toMatchObject({
      talosVersion: "v1.13.7",
      extensions: ["iscsi-tools", "nvidia-container-toolkit-lts"],
    });
    const patches = ofType(resources, "talos-node:index:NodeConfiguration").map(({ inputs }) =>
      (inputs["patches"] as { secret: string[] }).secret.join("---\n"),
    );
    const w2 = patches.find((text) => text.includes("hostname: w2\n")) ?? "";
    for (const part of [
      "rack: r2",
      "example.com/gpu: a100",
      "registerWithTaints:\n        - key: nvidia.com/gpu\n          value: present\n",
      "vm.nr_hugepages",
      "vm.max_map_count",
    ])
      expect(w2).toContain(part);
    expect(patches.find((text) => text.includes("hostname: w4\n"))).not.toMatch(
      /nodeLabels|nodeTaints|registerWithTaints/,
    );
  });

  it("creates a new cluster with a contract that the oldest release of a pool can read", async () => {
    const settings = pooled({
      "cluster.pools.edge.talosVersion": "v1.11.6",
      "cluster.pools.gpu.talosVersion": "v1.12.7",
    });
    const { resources } = await runProgram(settings);
    const secrets = onlyResource(resources, "talos:machine/secrets:Secrets");
    expect(secrets.inputs["talosVersion"]).toBe("v1.11");
    const { contract } = onlyResource(resources, "talos-node:index:RolloutReadiness").inputs;
    expect(contract).toBe("v1.11");
  });

  it("upgrades pool by pool, each with its own budget, in the configured order", async () => {
    const { resources } = await runProgram(
      pooled({ "upgrade.pools": { edge: { order: -1 }, gpu: { order: 5, maxUnavailable: 2 } } }),
    );
    const after = (name: string) =>
      onlyResource(resources, "talos-node:index:NodeUpgrade", `upgrade-${name}`)
        .after.filter((other) => other.startsWith("upgrade-") && other !== "upgrade-preflight")
        .sort();
    expect(after("w3")).toEqual(["upgrade-cp3"]);
    expect(after("w4")).toEqual(["upgrade-w3"]);
    expect(after("w1")).toEqual(["upgrade-w4"]);
    expect(after("w2")).toEqual(["upgrade-w4"]);
  });

  it("lets controllers run on control planes if every worker's taints keep pods off", async () => {
    const tolerationsWith = async (taints: Record<string, string>) => {
      const change = Object.fromEntries([3, 4].map((index) => [`cluster.nodes[${index}].taints`, taints]));
      const { resources } = await runProgram(withValues(usualSettings(), { ...change, joviandss }));
      const [deployment] = ofType(resources, "kubernetes:apps/v1:Deployment");
      return JSON.stringify(deployment?.inputs);
    };
    expect(await tolerationsWith({ x: "NoSchedule" })).toContain("node-role.kubernetes.io/control-plane");
    expect(await tolerationsWith({ x: "PreferNoSchedule" })).not.toContain(
      "node-role.kubernetes.io/control-plane",
    );
  });
});

it("probes control planes if no other node that keeps pods has iSCSI", () => {
  const tolerated = (change: Record<string, unknown>) => {
    const settings = withValues(usualSettings(), { joviandss: { ...joviandss, probe: {} }, ...change });
    const { controller, probe } = parseOutcome(settings).settings?.joviandss ?? {};
    return [controller, probe].map((pods) => JSON.stringify(pods?.tolerations).includes("control-plane"));
  };
  const without = { "cluster.nodes[3].iscsi": false, "cluster.nodes[4].iscsi": false };
  expect(tolerated({})).toEqual([false, false]);
  expect(tolerated(without)).toEqual([false, true]);
  expect(tolerated({ ...without, "cluster.nodes[4].iscsi": true })).toEqual([false, false]);
});

describe("the order of pools", () => {
  const cluster = fc.array(
    fc.record({
      pool: fc.constantFrom(undefined, "a", "b", "c"),
      role: fc.constantFrom("controlplane", "worker"),
    }),
    { maxLength: 30 },
  );
  const rollouts = fc.dictionary(
    fc.constantFrom("a", "b", "c"),
    fc.record(
      {
        order: fc.integer({ min: -3, max: 3 }),
        maxUnavailable: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constant("25%")),
      },
      { requiredKeys: [] },
    ),
  );

  it("never upgrades two pools at once, nor more nodes of a pool than its budget", () => {
    fc.assert(
      fc.property(cluster, rollouts, fc.integer({ min: 1, max: 5 }), (drawn, pools, budget) => {
        const nodes = drawn.map((node, index): OrderedNode => ({
          ...node,
          role: node.role,
          name: `n${index}`,
        }));
        const steps = planUpgradeLanes(nodes, budget, pools);
        expect(steps.map(({ node }) => node.name).sort()).toEqual(nodes.map(({ name }) => name).sort());
        const befores = new Map<string, Set<string>>();
        for (const { node, after } of steps) {
          const all = new Set(after.flatMap((name) => [name, ...(befores.get(name) ?? [])]));
          befores.set(node.name, all);
        }
        const groups = groupWorkers(nodes, budget, pools);
        groups.forEach((group, index) => {
          for (const node of group.nodes) {
            const before = befores.get(node.name) ?? new Set();
            // All earlier groups are done, regardless of their number of lanes.
            for (const earlier of groups.slice(0, index).flatMap((other) => other.nodes))
              expect(before).toContain(earlier.name);
          }
          expect(atOnce(group.nodes, befores)).toBeLessThanOrEqual(
            laneCount(group.nodes.length, group.maxUnavailable),
          );
        });
      }),
    );
  });
});

/** How many of these can be upgraded at once: each node that no other waits for ends its own lane. */
function atOnce(nodes: readonly OrderedNode[], befores: ReadonlyMap<string, ReadonlySet<string>>): number {
  return nodes.filter(({ name }) => !nodes.some((other) => befores.get(other.name)?.has(name))).length;
}
