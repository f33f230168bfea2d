import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { IscsiCluster } from "../../components/iscsiCluster.ts";
import { parseSettings } from "../../config.ts";
import { iscsiSchematicId as id, runProgram, providers } from "./components/program.ts";
import { isSecret, ofType, onlyResource, record, valueOf, type Registered } from "./components/recorder.ts";
import { bundle, canary, withValues, leaksSecret, minimalSettings, talosconfig } from "./settings/example.ts";

const joviandss = {
  image: "docker.io/opene/joviandss-csi:v1.0",
  endpoint: { addresses: ["192.168.0.100"], user: "admin", password: canary },
  iscsi: { addresses: ["192.168.0.100"] },
  pools: [{ name: "Pool-0" }],
};
const synology = { arrays: [{ host: "192.168.0.20", username: "kubernetes", password: canary }] };

/** The lab's stack, with its secrets inline instead of in files. */
function dev(): Record<string, unknown> {
  const text = readFileSync(new URL("../../Pulumi.dev.yaml", import.meta.url), "utf8");
  const { config } = parse(text) as { config: Record<string, unknown> };
  const own = Object.entries(config).map(([key, value]) => [key.replace(/^talos-iscsi:/, ""), value]);
  return withValues(Object.fromEntries(own) as Record<string, unknown>, {
    "cluster.secrets": { bundle, talosconfig },
    joviandss,
    synology: undefined,
  });
}

const fresh = () => withValues(dev(), { "cluster.secrets": undefined, talosContract: undefined });

/** The parts of a resource's URN: parents, type and name. */
function urns(resources: Registered[]): string[] {
  return resources.map(({ type, name, parent }) => `${parent} > ${type} ${name}`).sort();
}

function counts(resources: Registered[]): Record<string, number> {
  const all = resources.filter(
    ({ type }) => !type.startsWith("kubernetes:") && type !== "pulumi:pulumi:Stack",
  );
  return Object.fromEntries(all.map(({ type }) => [type, ofType(resources, type).length]));
}

const common = {
  "talos-iscsi:index:FactoryImage": 1,
  "talos:imageFactory/schematic:Schematic": 1,
  "talos-node:index:ConfirmedSchematic": 1,
  "pulumi:providers:talos": 1,
  "talos-iscsi:index:TalosCluster": 1,
  "talos-node:index:RolloutReadiness": 1,
  "talos-node:index:NodeConfiguration": 5,
  "talos:cluster/kubeconfig:Kubeconfig": 1,
  "talos-node:index:ClusterMembership": 1,
  "talos-iscsi:index:RollingUpgrade": 1,
  "talos-node:index:NodeUpgrade": 5,
  "pulumi:providers:kubernetes": 1,
  "talos-node:index:KubernetesUpgrade": 1,
};

describe("the program", () => {
  it("registers these resources for the lab's running cluster", async () => {
    const { resources } = await runProgram(dev());
    expect(counts(resources)).toMatchObject(common);
    expect(counts(resources)).not.toHaveProperty("talos:machine/secrets:Secrets");
    expect(counts(resources)).not.toHaveProperty("talos:machine/bootstrap:Bootstrap");
    expect(ofType(resources, "kubernetes:apps/v1:DaemonSet")).toHaveLength(1);
  });

  it("fails a preview with the refusals of configurations, machines and removals together", async () => {
    const refused = async (preview: boolean): Promise<string[]> => {
      const { resources } = await runProgram(dev(), preview);
      for (const type of ["RolloutReadiness", "ClusterMembership", "NodeConfiguration"])
        for (const { inputs } of ofType(resources, `talos-node:index:${type}`))
          expect(inputs["preview"]).toBe(preview ? true : undefined);
      const { inputs } = onlyResource(resources, "talos-node:index:RolloutPreflight");
      return Object.keys(inputs["refusals"] ?? {}).sort();
    };
    expect(await refused(true)).toEqual([
      "cp1",
      "cp2",
      "cp3",
      "the list of nodes",
      "the machines",
      "w1",
      "w2",
    ]);
    expect(await refused(false)).toEqual([]);
  });

  it("gives node resources the approval that its own run confirmed, and none of an earlier run", async () => {
    const config = withValues(dev(), { approvedPlan: "d".repeat(64) });
    const readiness = "talos-node:index:RolloutReadiness";
    const asking = [
      ...["NodeUpgrade", "NodeConfiguration", "ClusterMembership", "RolloutPreflight", "KubernetesUpgrade"],
    ].map((type) => `talos-node:index:${type}`);
    /** The approvals that node resources get if RolloutReadiness has this output. `confirmed` gets this run's ID. */
    const given = async (confirmed?: (run: unknown) => Record<string, unknown>): Promise<unknown[]> => {
      const { resources } = await runProgram(config, false, {
        made: ({ type, inputs }) =>
          type === readiness && confirmed !== undefined
            ? { state: { confirmed: confirmed(inputs["run"]) } }
            : {},
      });
      const found = resources.filter(({ type }) => asking.includes(type));
      expect(found.length).toBeGreaterThan(12);
      return [...new Set(found.map(({ inputs }) => JSON.stringify(inputs["approval"])))];
    };
    expect(await given((run) => ({ digest: "d", program: run }))).toEqual([
      expect.stringMatching(/^\{"digest":"d","program":"[0-9a-f-]{36}"\}$/),
    ]);
    // The same engine address but an earlier run, and state that never had an approval.
    expect(await given(() => ({ digest: "d", program: "earlier" }))).toEqual(["{}"]);
    expect(await given(() => ({ digest: "d" }))).toEqual(["{}"]);
    expect(await given()).toEqual(["{}"]);
    const { resources } = await runProgram(dev());
    for (const { inputs } of resources.filter(({ type }) => asking.includes(type)))
      expect(inputs).not.toHaveProperty("approval");
  });

  it("passes upgrade.configurationTimeout to control planes, and nothing by default", async () => {
    const waits = async (config: Record<string, unknown>) =>
      ofType((await runProgram(config)).resources, "talos-node:index:NodeConfiguration").map(
        ({ inputs }) => inputs["timeoutSeconds"],
      );
    expect(new Set(await waits(dev()))).toEqual(new Set([undefined]));
    const longer = withValues(dev(), { "upgrade.configurationTimeout": "25m" });
    expect(new Set(await waits(longer))).toEqual(new Set([1500]));
  });

  it("upgrades Kubernetes after Talos and before its objects, and only if the settings name a release", async () => {
    const config = withValues(dev(), {
      "cluster.nodes[4].patches": [{ machine: { kubelet: { image: "ghcr.io/siderolabs/kubelet:v1.35.2" } } }],
    });
    const { resources } = await runProgram(config);
    const kubernetes = onlyResource(resources, "talos-node:index:KubernetesUpgrade", "kubernetes-upgrade");
    for (const { name } of ofType(resources, "talos-node:index:NodeUpgrade"))
      expect(kubernetes.after).toContain(name);
    expect(onlyResource(resources, "pulumi:providers:kubernetes").after).toContain("kubernetes-upgrade");
    expect(kubernetes.inputs).toMatchObject({ kubernetesVersion: dev().kubernetesVersion });
    const nodes = kubernetes.inputs["nodes"] as Record<string, { pinned?: string[] }>;
    expect(Object.entries(nodes).map(([name, { pinned }]) => [name, pinned])).toEqual([
      ["cp1", undefined],
      ["cp2", undefined],
      ["cp3", undefined],
      ["w1", undefined],
      ["w2", ["kubelet"]],
    ]);
    const without = await runProgram(minimalSettings());
    expect(ofType(without.resources, "talos-node:index:KubernetesUpgrade")).toEqual([]);
  });

  it("passes each node's onRemove, and lets nodes leave before the rollout begins", async () => {
    const config = withValues(dev(), { "cluster.onRemove": "reset", "cluster.nodes[3].onRemove": "keep" });
    const { resources } = await runProgram(config);
    const membership = onlyResource(resources, "talos-node:index:ClusterMembership", "membership");
    expect(membership.inputs).toMatchObject({
      onRemove: "reset",
      drain: { enabled: true, timeoutSeconds: 300 },
    });
    expect(membership.inputs["nodes"]).toEqual({
      cp1: { node: "127.10.0.11", role: "controlplane" },
      cp2: { node: "127.10.0.12", role: "controlplane" },
      cp3: { node: "127.10.0.13", role: "controlplane" },
      w1: { node: "127.10.0.21", role: "worker", onRemove: "keep" },
      w2: { node: "127.10.0.22", role: "worker" },
    });
    for (const credentials of ["clientConfiguration", "kubeconfig"])
      expect(membership.inputs[credentials]).toHaveProperty("secret");
    expect(onlyResource(resources, "talos-node:index:RolloutPreflight").after).toContain("membership");
    for (const { start, after } of ofType(resources, "talos-node:index:NodeUpgrade")) {
      expect(start).toBeGreaterThan(membership.end);
      expect(after).toContain("upgrade-preflight");
    }
  });

  it("passes endpoints to every resource that contacts nodes", async () => {
    const config = withValues(fresh(), {
      "cluster.talosEndpoints": ["127.10.0.12:50001"],
      "cluster.nodes[4].endpoint": "127.10.0.22:50022",
    });
    const { resources } = await runProgram(config);
    const all = { "*": ["127.10.0.12:50001"], "127.10.0.22": ["127.10.0.22:50022"] };
    for (const type of ["ClusterMembership", "RolloutPreflight"])
      expect(onlyResource(resources, `talos-node:index:${type}`).inputs["endpoints"]).toEqual(all);
    for (const type of ["NodeConfiguration", "NodeUpgrade"])
      for (const { name, inputs } of ofType(resources, `talos-node:index:${type}`))
        expect(inputs["endpoints"], name).toEqual(name.endsWith("w2") ? all : { "*": all["*"] });
    for (const type of ["talos:cluster/kubeconfig:Kubeconfig", "talos:machine/bootstrap:Bootstrap"])
      expect(onlyResource(resources, type).inputs).toMatchObject({
        node: "127.10.0.11",
        endpoint: "127.10.0.12:50001",
      });
  });

  it("passes no endpoints if the settings have none", async () => {
    const { resources } = await runProgram(dev());
    for (const { name, inputs } of resources) expect(inputs["endpoints"], name).toBeUndefined();
  });

  it("creates a new cluster with its own secrets and bootstrap", async () => {
    const { resources } = await runProgram(fresh());
    expect(counts(resources)).toMatchObject({
      ...common,
      "talos:machine/secrets:Secrets": 1,
      "talos:machine/bootstrap:Bootstrap": 1,
    });
  });

  it.each([
    ["the lab's running cluster", dev],
    ["a new cluster", fresh],
    ["a cluster with both drivers", () => withValues(dev(), { synology })],
    ["the least that is needed", minimalSettings],
  ])("shows every resource of %s in its first preview, when nothing is known yet", async (_, config) => {
    const preview = await runProgram(config(), true);
    const update = await runProgram(config());
    expect(urns(preview.resources)).toEqual(urns(update.resources));
    expect(new Set(urns(update.resources)).size).toBe(update.resources.length);
    expect(Object.keys(preview.result).sort()).toEqual(Object.keys(update.result).sort());
    // Names from the settings are known.
    expect(await valueOf(pulumi.output(preview.result["storageClasses"]))).toEqual(
      await valueOf(pulumi.output(update.result["storageClasses"])),
    );
  });

  it("has all documented outputs: credentials are secret, everything else is readable", async () => {
    const { result } = await runProgram(withValues(dev(), { synology }));
    const output = (name: string) => valueOf(pulumi.output(result[name]));
    expect(await output("schematicId")).toBe(id);
    expect(await output("installerImage")).toBe(`127.10.0.2:8080/metal-installer/${id}:v1.13.9`);
    expect(await output("isoUrl")).toBe(`http://127.10.0.2:8080/image/${id}/v1.13.9/metal-amd64.iso`);
    expect(await output("pxeUrl")).toBe(`http://127.10.0.2:8080/pxe/${id}/v1.13.9/metal-amd64`);
    expect(await output("endpoint")).toBe("https://127.10.0.10:6443");
    expect(await output("storageClasses")).toEqual(["joviandss-sc", "synology-iscsi-storage"]);
    expect(await output("nodes")).toMatchObject({
      cp1: { address: "127.10.0.11", version: "v1.13.9", schematic: id },
      ...Object.fromEntries(
        ["cp2", "cp3", "w1", "w2"].map((name) => [name, { initiatorName: "iqn.2004-10.com.talos:1" }]),
      ),
    });
    // Only on request, because they would repeat each configuration change in the preview.
    expect(result["machineConfigurations"]).toBeUndefined();
    const asked = await runProgram(withValues(dev(), { "outputs.machineConfigurations": true }));
    expect(
      Object.keys(await valueOf<object>(pulumi.output(asked.result["machineConfigurations"]))),
    ).toHaveLength(5);
    for (const [name, value] of Object.entries(result)) {
      const secret = await isSecret(pulumi.output(value));
      expect(secret, name).toBe(["kubeconfig", "talosconfig"].includes(name));
      if (!secret) expect(leaksSecret(JSON.stringify([await output(name)])), name).toBe(false);
    }
  });

  it("touches no node before all configurations are applied, and no driver before all nodes are upgraded", async () => {
    const { resources } = await runProgram(dev());
    const upgrades = ofType(resources, "talos-node:index:NodeUpgrade");
    const configured = ofType(resources, "talos-node:index:NodeConfiguration");
    const preflight = onlyResource(resources, "talos-node:index:RolloutPreflight");
    // The check, which only reads, comes before the first configuration.
    const readiness = onlyResource(resources, "talos-node:index:RolloutReadiness");
    for (const { start } of configured) expect(start).toBeGreaterThan(readiness.end);
    expect(preflight.after).toEqual(expect.arrayContaining(configured.map(({ name }) => name)));
    for (const upgrade of upgrades) expect(upgrade.after).toContain(preflight.name);
    const upgraded = Math.max(...upgrades.map(({ end }) => end));
    const objects = resources.filter(({ type }) => type.startsWith("kubernetes:"));
    expect(objects.length).toBeGreaterThan(5);
    for (const object of objects) expect(object.start, object.name).toBeGreaterThan(upgraded);
  });

  it("passes the hardware in configurations to the check, in the first preview, as a secret", async () => {
    const hardware = async (checkHardware?: string) => {
      const config = withValues(fresh(), { "cluster.checkHardware": checkHardware });
      const { resources } = await runProgram(config, true);
      // Each node's first configuration compares it again.
      for (const { inputs } of ofType(resources, "talos-node:index:NodeConfiguration"))
        expect(inputs["checkHardware"]).toBe(checkHardware);
      return onlyResource(resources, "talos-node:index:RolloutReadiness").inputs["hardware"];
    };
    const path = "machine.install.disk";
    expect(await hardware()).toMatchObject({ secret: { named: { cp1: [{ path, disk: "/dev/sda" }] } } });
    expect(await hardware("refuse")).toMatchObject({ secret: { check: "refuse" } });
    expect(await hardware("off")).toBeUndefined();
  });

  it("passes pinned Kubernetes components and accepted API removals to the check before the first configuration", async () => {
    const kubernetes = async (more: Record<string, unknown>) => {
      const { resources } = await runProgram(withValues(dev(), more), true);
      return onlyResource(resources, "talos-node:index:RolloutReadiness").inputs["kubernetes"];
    };
    const kubelet = { image: "mirror.example.org/kubelet:v1.34.1" };
    expect(
      await kubernetes({
        "cluster.patches.worker": [{ machine: { kubelet } }],
        "upgrade.kubernetes.acceptRemovedApis": true,
      }),
    ).toMatchObject({ pinned: { w1: ["kubelet"], w2: ["kubelet"] }, acceptRemovedApis: true });
    expect(await kubernetes({})).toMatchObject({ pinned: {} });
  });

  it("uses credentials from the cluster's CA everywhere with renewCredentials, and needs no others", async () => {
    const plain = await runProgram(dev());
    expect(plain.calls.map(({ token }) => token)).not.toContain("talos-node:index:clientCredentials");
    const lost = { "cluster.secrets": { bundle }, "cluster.renewCredentials": true };
    const { resources, calls } = await runProgram(withValues(dev(), lost));
    const issuing = calls.filter(({ token }) => token === "talos-node:index:clientCredentials");
    expect(issuing).toHaveLength(1);
    expect(issuing[0]?.inputs["authority"]).toHaveProperty("key");
    const own = resources.filter(({ inputs }) => inputs["clientConfiguration"] !== undefined);
    expect(own.length).toBeGreaterThan(10);
    for (const { name, inputs } of own)
      expect(inputs["clientConfiguration"], name).toMatchObject({ secret: { clientCertificate: "issued" } });
  });

  it("configures a node only after the factory has confirmed the image in its configuration", async () => {
    const { resources } = await runProgram(dev());
    const confirmed = onlyResource(resources, "talos-node:index:ConfirmedSchematic");
    const configurations = ofType(resources, "talos-node:index:NodeConfiguration");
    expect(configurations).toHaveLength(5);
    for (const { after, start } of configurations) {
      expect(after).toContain("image-confirmed");
      expect(start).toBeGreaterThan(confirmed.end);
    }
  });

  it("gives Kubernetes objects the cluster's own kubeconfig, as a secret", async () => {
    const { resources } = await runProgram(dev());
    const provider = onlyResource(resources, "pulumi:providers:kubernetes");
    expect(provider.inputs["kubeconfig"]).toEqual({ secret: `kubeconfig ${canary}` });
    const objects = resources.filter(({ type }) => type.startsWith("kubernetes:"));
    expect(new Set(objects.map((object) => object.provider))).toEqual(new Set([provider.name]));
  });

  it("reads Kubernetes' schema after the last restart of a control plane", async () => {
    const { resources } = await runProgram(dev());
    const provider = onlyResource(resources, "pulumi:providers:kubernetes");
    const upgrades = ofType(resources, "talos-node:index:NodeUpgrade");
    expect(provider.after).toEqual(expect.arrayContaining(upgrades.map(({ name }) => name)));
  });

  it("identifies the Kubernetes cluster by its ID, regardless of name, endpoint and kubeconfig", async () => {
    const identifier = async (config: Record<string, unknown>) =>
      onlyResource((await runProgram(config)).resources, "pulumi:providers:kubernetes").inputs[
        "clusterIdentifier"
      ];
    expect(await identifier(fresh())).toEqual({ secret: "id-of-a-new-cluster" });
    const own = await identifier(dev());
    expect(own).toEqual({ secret: expect.stringMatching(/./) as string });
    const renamed = { "cluster.name": "other", "cluster.endpoint": "https://10.9.9.9:6443" };
    expect(await identifier(withValues(dev(), renamed))).toEqual(own);
  });

  it("lets a node run its own release", async () => {
    const { resources } = await runProgram(withValues(dev(), { "cluster.nodes[4].talosVersion": "v1.13.7" }));
    const { inputs } = onlyResource(resources, "talos-node:index:NodeUpgrade", "upgrade-w2");
    expect(inputs["talosVersion"]).toBe("v1.13.7");
    expect(inputs["image"]).toBe(`127.10.0.2:8080/metal-installer/${id}:v1.13.7`);
  });

  it("has no secret in plain text in any input", async () => {
    for (const config of [withValues(dev(), { synology }), fresh()]) {
      const { resources } = await runProgram(config);
      for (const resource of resources)
        expect(leaksSecret(inTheClear(resource.inputs)), resource.name).toBe(false);
    }
  });

  it("does nothing if the configuration has mistakes", async () => {
    const wrong = runProgram(
      withValues(dev(), { talosVersion: "latest", "cluster.nodes[1].address": "127.10.0.11" }),
    );
    await expect(wrong).rejects.toSatisfy((error) => pulumi.RunError.isInstance(error));
    await expect(wrong).rejects.toThrow(
      /the configuration has 2 mistakes[\s\S]*cluster\.nodes\[1\]\.address/,
    );
  });
});

function inTheClear(inputs: unknown): string {
  return JSON.stringify(inputs, (_, value: unknown) =>
    typeof value === "object" && value !== null && Object.keys(value).join() === "secret"
      ? "(secret)"
      : value,
  );
}

describe("IscsiCluster", () => {
  it("declares a stack's resources as its children, so a program can have several", async () => {
    const { resources: stack } = await runProgram(dev());
    const { resources, result } = await record(() => {
      const made = ["one", "two"].map((name) => new IscsiCluster(name, parseSettings(dev())));
      return { kubeconfig: made[0]?.outputs.kubeconfig };
    }, providers);
    const own = (name: string) =>
      resources
        .filter((resource) => resource.name.startsWith(`${name}-`))
        .map(({ type, name: full }) =>
          `${type} ${full.slice(name.length + 1)}`.replace("joviandss-joviandss-", "joviandss-"),
        )
        .sort();
    const all = stack
      .filter(({ type }) => type !== "pulumi:pulumi:Stack")
      .map(({ type, name }) => `${type} ${name}`);
    expect(own("one")).toEqual(all.sort());
    expect(own("two")).toEqual(own("one"));
    expect(onlyResource(resources, "talos-iscsi:index:FactoryImage", "one-image").parent).toBe(
      "talos-iscsi:index:IscsiCluster::one",
    );
    expect(await isSecret(pulumi.output(result.kubeconfig))).toBe(true);
  });
});
