import { afterAll, beforeAll, expect, it } from "vitest";
import { SimulatedNode } from "../../lab/node/node.ts";
import { unwrap, type Properties } from "../../provider/secrets.ts";
import {
  readImages,
  releaseOfImage,
  setImages,
  type KubernetesComponent,
} from "../../talos/kubernetesImages.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { newRelease, componentReleases, oldRelease, KubernetesCluster } from "./kubernetesUpgradeHarness.ts";

// Changing the Kubernetes release in a machine configuration changes nothing that runs. Only the cluster's Kubernetes upgrade does.

interface Checked {
  inputs: Properties;
  failures: unknown[];
}

const urn =
  "urn:pulumi:dev::talos-iscsi::talos-iscsi:index:TalosCluster$talos-node:index:NodeConfiguration::cluster-config";
let own: KubernetesCluster;
beforeAll(async () => {
  own = await KubernetesCluster.start({ subnet: "127.49.67", controlPlanes: 1, workers: 1 });
});
afterAll(async () => own.stop());

/** The node's configuration as the settings produce it, with another Kubernetes release. */
function wantedOf(name: string, release: string, more = ""): string {
  const text = own.cluster.node(name).config?.text ?? "";
  const images = Object.keys(readImages(text)).map((component) => [
    component,
    `${readImages(text)[component as KubernetesComponent]?.replace(/:[^:]*$/, "") ?? ""}:${release}`,
  ]);
  return `${setImages(text, Object.fromEntries(images) as Record<KubernetesComponent, string>)}${more}`;
}

function inputsOf(name: string, machineConfiguration: string, change: Properties = {}): Properties {
  const node = own.cluster.node(name);
  return {
    name,
    node: node.address,
    role: node.identity().role,
    controlPlanes: [own.cluster.node("cp1").address],
    clientConfiguration: { ...own.cluster.credentials },
    machineConfiguration,
    configuration: redactMachineConfig(machineConfiguration),
    patches: [],
    contract: "v1.13",
    timeoutSeconds: 5,
    ...change,
  };
}

const watchdog = "---\napiVersion: v1alpha1\nkind: WatchdogTimerConfig\ndevice: /dev/watchdog0\n";

it("a Kubernetes release alone causes no diff and no apply", async () => {
  const { provider } = own.provider();
  const first = inputsOf("cp1", wantedOf("cp1", oldRelease));
  const { outs } = await provider.create(urn, first);
  const next = inputsOf("cp1", wantedOf("cp1", newRelease));
  const { inputs, failures } = (await provider.check(urn, outs, next)) as Checked;
  expect(failures).toEqual([]);
  expect(unwrap(inputs).values).not.toHaveProperty("changes");
  expect((await provider.diff("cp1", urn, outs, inputs, first)).changes).toBe(false);
  await provider.update("cp1", urn, outs, next);
  expect(own.applies()["cp1"]).toBe(0);
});

it("other changes are applied with the Kubernetes release that the node runs", async () => {
  const { provider } = own.provider();
  const wanted = inputsOf("w1", wantedOf("w1", newRelease, watchdog));
  const { inputs } = (await provider.check(urn, {}, wanted)) as Checked;
  const changes = unwrap(inputs).values["changes"] as string[];
  expect(changes.join("\n")).toContain("WatchdogTimerConfig");
  expect(changes.join("\n")).not.toContain("image");
  const { outs } = await provider.create(urn, wanted);
  expect(own.applies()["w1"]).toBe(1);
  expect(own.configured()["w1"]).toEqual(componentReleases(oldRelease, "worker"));
  expect(own.cluster.node("w1").config?.text).toContain("watchdog0");

  // A refresh does not report the difference as a change by hand.
  const { inputs: live } = await provider.read("w1", urn, outs);
  expect(unwrap(live).values).not.toHaveProperty("changedByHand");
  expect((await provider.diff("w1", urn, outs, live, wanted)).changes).toBe(false);
});

it("an image that a user's patch names is applied", async () => {
  const { provider } = own.provider();
  const image = "ghcr.io/siderolabs/kubelet:v1.35.9";
  const patch = `machine:\n  kubelet:\n    image: ${image}\n`;
  const text = setImages(own.cluster.node("w1").config?.text ?? "", { kubelet: image });
  await provider.create(urn, inputsOf("w1", text, { patches: [patch] }));
  expect(own.configured()["w1"]).toEqual(componentReleases("v1.35.9", "worker"));
});

it("a joining machine gets the cluster's Kubernetes release, not the one in the settings", async () => {
  const { cluster } = own;
  const machine = new SimulatedNode({
    name: "w9",
    address: "127.49.67.29",
    network: cluster.node("cp1").network,
    image: cluster.image("v1.13.9"),
    bootloader: "sd-boot",
    runtime: {
      configActive: async () => undefined,
      bootstrapped: async () => undefined,
      kubeletUp: async () => undefined,
      staticPods: async () => undefined,
      kubeletDown: async () => undefined,
      health: async () => ({ apiServer: true, nodeReady: true }),
      removed: async () => undefined,
    },
    timings: { pullSeconds: 0.02, installSeconds: 0.05, rebootSeconds: 0.05, bootSeconds: 0.05 },
  });
  await machine.start();
  try {
    const ofPeer = (cluster.node("w1").config?.text ?? "").replace("hostname: w1", "hostname: w9");
    const text = setImages(ofPeer, { kubelet: `ghcr.io/siderolabs/kubelet:${newRelease}` });
    const { provider } = own.provider();
    const change = { name: "w9", node: machine.address };
    await provider.create(urn, { ...inputsOf("w1", text), ...change });
    const given = machine.config?.text ?? machine.disk.config ?? "";
    expect(releaseOfImage(readImages(given).kubelet)).toBe(oldRelease);
  } finally {
    await machine.stop();
  }
});
