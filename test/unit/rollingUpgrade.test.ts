import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";
import {
  RollingUpgrade,
  type RollingUpgradeArgs,
  type RollingUpgradeNode,
} from "../../components/rollingUpgrade.ts";
import { parseMembers } from "../../talos/rolloutMembers.ts";
import {
  isSecret,
  ofType,
  onlyResource,
  record,
  valueOf,
  type Registered,
  type RecordOptions,
} from "./components/recorder.ts";

const type = "talos-node:index:NodeUpgrade";
const schematicId = "c9".repeat(32);
const requirements = {
  extensions: ["iscsi-tools"],
  services: ["ext-iscsid"],
  files: ["/usr/local/sbin/iscsiadm"],
};

function nodes(controlPlanes: number, workers: number): RollingUpgradeNode[] {
  const make = (role: "controlplane" | "worker", name: string, address: string) => ({
    ...{ name, address, role, requirements },
    ...{ talosVersion: "v1.13.9", image: `factory.talos.dev/metal-installer/${schematicId}:v1.13.9` },
  });
  return [
    ...Array.from({ length: workers }, (_, i) => make("worker", `w${i + 1}`, `10.0.0.${i + 21}`)),
    ...Array.from({ length: controlPlanes }, (_, i) =>
      make("controlplane", `cp${i + 1}`, `10.0.0.${i + 11}`),
    ),
  ];
}

class Before extends pulumi.CustomResource {
  constructor(name: string) {
    super("test:index:Before", name, {});
  }
}

function args(changes: Partial<RollingUpgradeArgs> = {}): RollingUpgradeArgs {
  return {
    nodes: nodes(3, 2),
    after: [],
    schematicId,
    clientConfiguration: { caCertificate: "ca", clientCertificate: "crt", clientKey: "key" },
    kubeconfig: "kubeconfig",
    kubernetesVersion: "v1.35.4",
    drain: { enabled: true, timeoutSeconds: 300 },
    maxUnavailableWorkers: 1,
    timeoutSeconds: 1800,
    allowSkew: false,
    prePull: true,
    ...changes,
  };
}

/** What a node reports after its upgrade. */
const after = {
  ...{ runningVersion: "v1.13.9", runningSchematic: schematicId, installedExtensions: ["iscsi-tools"] },
  ...{ runningServices: ["apid", "ext-iscsid"], initiatorName: "iqn.2004-10.com.talos:0123" },
};

function roll(changes: Partial<RollingUpgradeArgs> = {}, options: RecordOptions = {}) {
  return record(
    () => new RollingUpgrade("upgrade", args({ after: [new Before("configured")], ...changes })),
    {
      made: (resource) => (resource.type === type ? { state: after } : {}),
      ...options,
    },
  );
}

/** The nodes that each node directly waits for, without its other dependencies. */
function order(resources: Registered[]): Record<string, string[]> {
  const upgrades = ofType(resources, type);
  const nodeOf = (name: string) => name.replace("upgrade-", "");
  return Object.fromEntries(
    upgrades.map(({ name, after: names }) => [
      nodeOf(name),
      names.filter((other) => upgrades.some((upgrade) => upgrade.name === other)).map(nodeOf),
    ]),
  );
}

describe("RollingUpgrade", () => {
  it("creates one NodeUpgrade per node, with everything that the node needs", async () => {
    const { resources } = await roll();
    expect(ofType(resources, type)).toHaveLength(5);
    const { inputs, parent } = onlyResource(resources, type, "upgrade-w1");
    expect(parent).toBe("talos-iscsi:index:RollingUpgrade::upgrade");
    expect(inputs).toEqual({
      name: "w1",
      node: "10.0.0.21",
      role: "worker",
      talosVersion: "v1.13.9",
      schematicId,
      image: `factory.talos.dev/metal-installer/${schematicId}:v1.13.9`,
      ...requirements,
      controlPlanes: ["10.0.0.11", "10.0.0.12", "10.0.0.13"],
      clientConfiguration: { secret: { caCertificate: "ca", clientCertificate: "crt", clientKey: "key" } },
      kubeconfig: { secret: "kubeconfig" },
      kubernetesVersion: "v1.35.4",
      drain: { enabled: true, timeoutSeconds: 300 },
      timeoutSeconds: 1800,
      allowSkew: false,
      prePull: true,
      rollout: {
        nodes: "w1 10.0.0.21, w2 10.0.0.22",
        budgets: [{ group: "workers", setting: "upgrade.workers.maxUnavailable", maxUnavailable: 1 }],
        windows: [],
        outsideWindow: "stop",
        gates: [],
      },
    });
  });

  it("lists only a node's own group, and all nodes if there are windows", async () => {
    const policyOf = (resources: Registered[], name: string) =>
      onlyResource(resources, type, `upgrade-${name}`).inputs["rollout"] as {
        nodes: string;
        budgets: unknown[];
      };
    const all = nodes(3, 4).map((node, index) => ({
      ...node,
      ...(index === 2 || index === 3
        ? { pool: "gpu", schematicId: "f".repeat(64), talosVersion: "v1.12.7" }
        : {}),
    }));
    const { resources } = await roll({ nodes: all });
    expect(policyOf(resources, "cp1")).toMatchObject({ nodes: "", budgets: [] });
    expect(policyOf(resources, "w1").nodes).toBe("w1 10.0.0.21, w2 10.0.0.22");
    expect(policyOf(resources, "w4").nodes).toBe("w3 10.0.0.23, w4 10.0.0.24");

    const windows = [{ days: ["sun" as const], from: "01:00", to: "05:00", timeZone: "UTC" }];
    const { resources: timed } = await roll({ nodes: all, windows });
    const ordered = [...all.slice(4), ...all.slice(0, 4)];
    const wanted = ordered.map(({ name, address, ...node }) => ({
      name,
      node: address,
      ...(node.talosVersion === "v1.13.9" ? {} : { talosVersion: "v1.12.7", schematicId: "f".repeat(64) }),
    }));
    expect(parseMembers(policyOf(timed, "w1").nodes)).toEqual(wanted);
    expect(policyOf(timed, "w1").budgets).toMatchObject([{ nodes: "w1, w2" }]);
    // Release and schematic are listed only if they differ from the node that lists them.
    expect(parseMembers(policyOf(timed, "w4").nodes)).toEqual(
      ordered.map(({ name, address, talosVersion }) => ({
        name,
        node: address,
        ...(talosVersion === "v1.12.7" ? {} : { talosVersion, schematicId }),
      })),
    );
  });

  it("lets every node check all control planes", async () => {
    const controlPlanes = ["10.0.0.11", "10.0.0.12", "10.0.0.13"];
    const { resources } = await roll();
    for (const name of ["cp1", "cp3", "w1"]) {
      expect(onlyResource(resources, type, `upgrade-${name}`).inputs).toMatchObject({ controlPlanes });
    }
  });

  it("keeps credentials secret in the state, even if the provider returns them in plain text", async () => {
    const { resources } = await roll();
    for (const { additionalSecretOutputs } of ofType(resources, type)) {
      expect(additionalSecretOutputs).toEqual(["clientConfiguration", "kubeconfig"]);
    }
  });

  it("works without a kubeconfig and a Kubernetes release", async () => {
    const { resources } = await roll({ kubeconfig: undefined, kubernetesVersion: undefined });
    const { inputs } = onlyResource(resources, type, "upgrade-cp1");
    expect(inputs).not.toHaveProperty("kubeconfig");
    expect(inputs).not.toHaveProperty("kubernetesVersion");
  });

  it.each([
    ["drains where it is asked to", nodes(1, 1), true, true],
    ["does not where it is not", nodes(3, 2), false, false],
    ["never drains the only node of a cluster", nodes(1, 0), true, false],
  ])("%s", async (_, all, enabled, expected) => {
    const { resources } = await roll({ nodes: all, drain: { enabled, timeoutSeconds: 60 } });
    expect(ofType(resources, type).map(({ inputs }) => inputs["drain"])).toEqual(
      all.map(() => ({ enabled: expected, timeoutSeconds: 60 })),
    );
  });

  it("makes every node wait for the preflight and what comes before it", async () => {
    const { resources } = await roll();
    const preflight = onlyResource(resources, "talos-node:index:RolloutPreflight");
    expect(preflight.after).toContain("configured");
    for (const node of ofType(resources, type)) expect(node.after).toContain(preflight.name);
  });

  it("has few dependencies per node at any cluster size", async () => {
    const { resources } = await roll({ nodes: nodes(3, 60), maxUnavailableWorkers: 5 });
    for (const node of ofType(resources, type)) expect(node.after.length, node.name).toBeLessThan(5);
  });

  it.each<[number, number, number | string, Record<string, string[]>]>([
    [1, 0, 1, { cp1: [] }],
    [3, 0, 5, { cp1: [], cp2: ["cp1"], cp3: ["cp2"] }],
    [1, 3, 1, { cp1: [], w1: ["cp1"], w2: ["w1"], w3: ["w2"] }],
    [2, 4, 2, { cp1: [], cp2: ["cp1"], w1: ["cp2"], w2: ["cp2"], w3: ["w1"], w4: ["w2"] }],
    [1, 4, "50%", { cp1: [], w1: ["cp1"], w2: ["cp1"], w3: ["w1"], w4: ["w2"] }],
    [1, 3, "25%", { cp1: [], w1: ["cp1"], w2: ["w1"], w3: ["w2"] }],
    [1, 3, "100%", { cp1: [], w1: ["cp1"], w2: ["cp1"], w3: ["cp1"] }],
  ])(
    "orders %i control planes and %i workers, %j at once",
    async (controlPlanes, workers, maxUnavailableWorkers, expected) => {
      const { resources } = await roll({ nodes: nodes(controlPlanes, workers), maxUnavailableWorkers });
      expect(order(resources)).toEqual(expected);
    },
  );

  it("never upgrades two control planes at once, more workers than allowed, or a worker before the control planes", async () => {
    const roles = new Map(nodes(3, 9).map(({ name, role }) => [`upgrade-${name}`, role]));
    let turn = 0;
    const { resources } = await roll(
      { nodes: nodes(3, 9), maxUnavailableWorkers: 3 },
      {
        made: (resource) =>
          resource.type === type ? { state: after, takes: [3, 17, 8, 1, 12][turn++ % 5] ?? 1 } : {},
      },
    );
    const spans = ofType(resources, type);
    expect(spans.every(({ end }) => end < Infinity)).toBe(true);
    const atOnce = (role: string) =>
      Math.max(
        ...spans
          .filter(({ name }) => roles.get(name) === role)
          .map(
            ({ start }, _, all) => all.filter((other) => other.start <= start && start < other.end).length,
          ),
      );
    expect(atOnce("controlplane")).toBe(1);
    expect(atOnce("worker")).toBe(3);
    const of = (role: string) => spans.filter(({ name }) => roles.get(name) === role);
    const lastControlPlane = Math.max(...of("controlplane").map(({ end }) => end));
    expect(Math.min(...of("worker").map(({ start }) => start))).toBeGreaterThan(lastControlPlane);
  });

  it("outputs a table of what each node runs, by name and without secrets", async () => {
    const { result: rollout } = await roll({ nodes: nodes(1, 1) });
    expect(await valueOf(rollout.table)).toEqual(
      Object.fromEntries(
        (
          [
            ["w1", "10.0.0.21", "worker"],
            ["cp1", "10.0.0.11", "controlplane"],
          ] as const
        ).map(([name, address, role]) => [
          name,
          {
            address,
            role,
            version: "v1.13.9",
            schematic: schematicId,
            extensions: ["iscsi-tools"],
            services: ["apid", "ext-iscsid"],
            initiatorName: "iqn.2004-10.com.talos:0123",
          },
        ]),
      ),
    );
    expect(await isSecret(rollout.table)).toBe(false);
  });

  it("registers the same resources in a preview", async () => {
    const names = async (preview: boolean) =>
      (await roll({}, { preview })).resources.map((resource) => `${resource.type} ${resource.name}`).sort();
    expect(await names(true)).toEqual(await names(false));
  });
});
