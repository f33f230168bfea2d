import { describe, expect, it } from "vitest";
import { probeImage } from "../../components/csi/sidecars.ts";
import { parseSettings, type SettingsError } from "../../config.ts";
import { JovianDssCsi } from "../../components/csi/joviandss.ts";
import { record as recordWithUid } from "./csi/recorder.ts";
import { iscsiSchematicId, runProgram } from "./components/program.ts";
import { ofType, onlyResource, type Registered } from "./components/recorder.ts";
import { canary, withValues, leaksSecret, minimalSettings } from "./settings/example.ts";

const type = "talos-node:index:StorageProbe";

const joviandss = (change: object = {}) => ({
  image: "docker.io/opene/joviandss-csi:v1.0",
  endpoint: { addresses: ["192.168.0.100"], user: "admin", password: canary },
  iscsi: { addresses: ["192.168.0.100"] },
  pools: [
    {
      name: "Pool-0",
      storageClasses: [{ name: "joviandss-sc" }, { name: "one-pod", accessModes: ["ReadWriteOncePod"] }],
    },
  ],
  ...change,
});
const synology = { arrays: [{ host: "192.168.0.20", username: "kubernetes", password: canary }] };
const worker = { name: "w1", address: "10.0.0.21", role: "worker" };
const withProbe = (change: object = {}, more: object = {}) =>
  withValues(minimalSettings(), {
    "cluster.nodes[1]": worker,
    joviandss: joviandss({ probe: change, ...more }),
  });

const probeOf = (resources: Registered[]) => onlyResource(resources, type, "joviandss-probe");

describe("joviandss.probe and synology.probe", () => {
  it("are off by default, and leave nothing in the state", async () => {
    for (const own of [{}, { probe: { enabled: false } }]) {
      const { resources } = await runProgram(
        withValues(minimalSettings(), { joviandss: joviandss(own), synology }),
      );
      expect(ofType(resources, type)).toEqual([]);
      const driver = onlyResource(resources, "talos-iscsi:index:JovianDssCsi", "joviandss");
      expect(driver.inputs).not.toHaveProperty("probeOn");
      if (!("probe" in own)) expect(driver.inputs).not.toHaveProperty("probe");
    }
  });

  it("probe every class of the driver on every node that runs it, once it is deployed", async () => {
    const { resources } = await runProgram(withProbe({}));
    const { inputs, after } = probeOf(resources);
    const driver = "iscsi.csi.joviandss.open-e.com";
    expect(inputs).toMatchObject({
      storageClasses: [
        { name: "joviandss-sc", driver, accessMode: "ReadWriteOnce" },
        { name: "one-pod", driver, accessMode: "ReadWriteOncePod" },
      ],
      image: probeImage,
      size: "1Gi",
      concurrency: 3,
      timeoutSeconds: 300,
    });
    expect(probeImage).toMatch(/@sha256:[0-9a-f]{64}$/);
    expect(inputs["kubeconfig"]).toEqual({ secret: expect.stringContaining(canary) as string });
    for (const name of ["joviandss-node", "joviandss-controller", "joviandss-sc"])
      expect(after).toContain(name);
    const running = `v1.13.9 ${iscsiSchematicId}`;
    expect(inputs["nodes"]).toEqual({ cp1: running, w1: running });
    // A new kubelet may mount differently.
    const newer = await runProgram({ ...withProbe({}), kubernetesVersion: "v1.35.4" });
    expect(probeOf(newer.resources).inputs["nodes"]).toMatchObject({
      w1: `${running} with Kubernetes v1.35.4`,
    });
    const { kubeconfig: _, ...shown } = inputs;
    expect(leaksSecret(JSON.stringify(shown))).toBe(false);
  });

  it("probe again if the driver's image, sidecars or settings change, and not for the probe's own timeout", async () => {
    const parts = async (more: object, probe: object = {}) =>
      probeOf((await runProgram(withProbe(probe, more))).resources).inputs["driver"] as Record<
        string,
        string
      >;
    const before = await parts({});
    expect(Object.keys(before).sort()).toEqual(["configuration", "image", "settings", "sidecars"]);
    const changes = async (more: object, probe: object = {}) => {
      const after = await parts(more, probe);
      return Object.keys(before).filter((key) => before[key] !== after[key]);
    };
    expect(await changes({})).toEqual([]);
    expect(await changes({}, { timeout: 600 })).toEqual([]);
    expect(await changes({ image: "docker.io/opene/joviandss-csi:v1.1" })).toEqual(["image"]);
    expect(await changes({ images: { attacher: "registry.example.com/attacher:v1" } })).toEqual(["sidecars"]);
    expect(await changes({ logLevel: "debug" })).toContain("settings");
  });

  it("probe again if the password changes, without revealing it", async () => {
    // The mark needs the uid of the driver's Secret, which these mocks provide.
    const inputs = async (password: string): Promise<Record<string, unknown>> => {
      const { resources } = await recordWithUid(() => {
        const probeOn = { kubeconfig: "an admin's", nodes: {} };
        const { endpoint, image, iscsi } = joviandss();
        const others = { image, iscsi, pools: [{ name: "Pool-0" }], probe: {} };
        return new JovianDssCsi("joviandss", { ...others, endpoint: { ...endpoint, password }, probeOn });
      });
      const probe = resources.find((resource) => resource.type === type);
      return probe?.inputs["driver"] as Record<string, unknown>;
    };
    const [one, other] = [await inputs(canary), await inputs(`${canary}2`)];
    expect(other).toMatchObject({
      ...one,
      configuration: expect.not.stringMatching(String(one["configuration"])) as string,
    });
    expect(leaksSecret(JSON.stringify([one, other]))).toBe(false);
  });

  it("use the image from the registry, or the given one", async () => {
    const registry = "registry.example.com/mirror";
    const image = async (probe: object) =>
      probeOf((await runProgram(withProbe(probe, { registry }))).resources).inputs["image"];
    expect(await image({})).toBe(probeImage.replace("registry.k8s.io", registry));
    expect(await image({ image: "registry.example.com/busybox:1" })).toBe("registry.example.com/busybox:1");
  });

  it("tolerate control planes if there is no other node", async () => {
    const workers = (await runProgram(withProbe({}))).resources;
    expect(probeOf(workers).inputs["tolerations"]).toEqual([]);
    const [controlPlane] = (minimalSettings()["cluster"] as { nodes: object[] }).nodes;
    const alone = await runProgram(withValues(withProbe({}), { "cluster.nodes": [controlPlane] }));
    expect(probeOf(alone.resources).inputs["tolerations"]).toEqual([
      expect.objectContaining({ key: "node-role.kubernetes.io/control-plane" }) as unknown,
    ]);
  });

  it("probe each driver with its own settings", async () => {
    const both = withValues(withProbe({}), { synology: { ...synology, probe: { size: "2Gi" } } });
    const { resources } = await runProgram(both);
    expect(probeOf(resources).inputs["size"]).toBe("1Gi");
    expect(onlyResource(resources, type, "synology-probe").inputs).toMatchObject({
      size: "2Gi",
      storageClasses: [{ name: "synology-iscsi-storage", accessMode: "ReadWriteOnce" }],
    });
  });

  it("report every invalid size, image and number at once", () => {
    const config = withProbe({ size: "big", image: "busybox", concurrency: 0, timeout: 1 });
    let problems: string[] = [];
    try {
      parseSettings(config);
    } catch (error) {
      problems = (error as SettingsError).problems.map(({ path }) => path);
    }
    expect(problems.sort()).toEqual(
      ["concurrency", "image", "size", "timeout"].map((key) => `joviandss.probe.${key}`),
    );
  });
});
