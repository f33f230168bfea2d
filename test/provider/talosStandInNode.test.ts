import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SimulatedNode } from "../../lab/node/node.ts";
import { LabNetwork } from "../../lab/node/network.ts";
import type { ClusterRuntime } from "../../lab/node/machine/runtime.ts";
import { readObject, readText } from "../../lab/plugins/read.ts";
import { revealAll, Secret } from "../../lab/plugins/values.ts";
import type { Properties } from "../../lab/plugins/values.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { resolveTools } from "../../tools/resolve.ts";
import { PluginClient } from "./pluginClient.ts";

const SECRETS = "talos:machine/secrets:Secrets";
const BOOTSTRAP = "talos:machine/bootstrap:Bootstrap";
const KUBECONFIG = "talos:cluster/kubeconfig:Kubeconfig";
const ADDRESS = "127.47.1.11";
const INSTALLER = "ghcr.io/siderolabs/installer:v1.12.7";

/** No Kubernetes is running. These tests do not need one. */
const noKubernetes: ClusterRuntime = {
  configActive: async () => undefined,
  bootstrapped: async () => undefined,
  kubeletUp: async () => undefined,
  staticPods: async () => undefined,
  kubeletDown: async () => undefined,
  health: async () => ({ apiServer: false, nodeReady: false }),
  removed: async () => undefined,
};

let plugin: PluginClient;
let node: SimulatedNode;
let credentials: Properties;
let kubeconfig: { id: string; inputs: Properties; state: Properties };

beforeAll(async () => {
  const { talosctl } = await resolveTools(["talosctl"]);
  const executable = join(import.meta.dirname, "../../lab/plugins/talos/pulumi-resource-talos");
  plugin = await PluginClient.start(executable, [], { ...process.env, TALOS_ISCSI_TALOSCTL: talosctl });
  node = new SimulatedNode({
    name: "cp1",
    address: ADDRESS,
    network: new LabNetwork(),
    runtime: noKubernetes,
    image: INSTALLER,
    timings: { installSeconds: 0.2, rebootSeconds: 0.2, bootSeconds: 0.2 },
  });
  await node.start();
  const { state } = await plugin.create(SECRETS, { talosVersion: "v1.12" });
  const timeouts = { create: "30s", update: "30s" };
  credentials = { node: ADDRESS, clientConfiguration: state["clientConfiguration"], timeouts };
  const { result } = await plugin.invoke("talos:machine/getConfiguration:getConfiguration", {
    clusterName: "dev",
    clusterEndpoint: "https://127.47.1.10:6443",
    machineType: "controlplane",
    machineSecrets: state["machineSecrets"],
    talosVersion: "v1.12",
    kubernetesVersion: "v1.35.4",
    configPatches: [`machine: {install: {image: "${INSTALLER}"}}`],
  });
  const machine = connectActor({ endpoint: ADDRESS, credentials: "maintenance" });
  const text = readText(result, "machineConfiguration") ?? "";
  // The answer may be lost when the machine restarts its API. The tests check whether the configuration arrived.
  await machine.applyFirstConfiguration(text).catch(() => undefined);
  machine.close();
}, 1_200_000);

afterAll(async () => {
  await plugin.stop();
  await node.stop();
});

describe("a machine with its first configuration", () => {
  it("is bootstrapped, no matter how long it takes to come up", async () => {
    await expect.poll(() => node.config?.clusterId, { timeout: 20_000 }).toBeTruthy();
    const bootstrap = await plugin.create(BOOTSTRAP, credentials);
    expect(bootstrap.id).toBe("machine_bootstrap");
    expect(bootstrap.state["endpoint"]).toBe(ADDRESS);
    await expect.poll(() => node.boot?.services.isUp("etcd"), { timeout: 20_000 }).toBe(true);
  });

  it("refuses a second bootstrap until the timeout, as with the published provider", async () => {
    await expect(plugin.create(BOOTSTRAP, { ...credentials, timeouts: { create: "5s" } })).rejects.toThrow(
      /bootstrap etcd on node 127\.47\.1\.11: gave up after 5s; last answer: .*AlreadyExists/,
    );
  });

  it("returns a kubeconfig whose client certificate is signed by its own CA", async () => {
    const created = await plugin.create(KUBECONFIG, credentials);
    kubeconfig = { ...created, inputs: credentials };
    expect(created.id).toBe("dev");
    expect(created.state["kubeconfigRaw"]).toBeInstanceOf(Secret);
    const client = readObject(revealAll(created.state), "kubernetesClientConfiguration") ?? {};
    const certificate = (key: string) =>
      new X509Certificate(Buffer.from(readText(client, key) ?? "", "base64"));
    expect(readText(client, "host")).toBe("https://127.47.1.10:6443");
    expect(certificate("clientCertificate").checkIssued(certificate("caCertificate"))).toBe(true);
    expect(certificate("clientCertificate").subject).toContain("O=system:masters");
  });

  it("keeps that kubeconfig until its certificate is close to expiry", async () => {
    const unchanged = await plugin.diff(KUBECONFIG, kubeconfig, credentials);
    expect(unchanged.changes).toBe(false);
    const longer = { ...credentials, certificateRenewalDuration: "87600h" };
    const due = await plugin.diff(KUBECONFIG, kubeconfig, longer);
    expect(due.diffs).toContain("kubeconfigRaw");
    expect(due.detailed).toEqual({});
    const renewed = await plugin.update(KUBECONFIG, kubeconfig, longer);
    expect(revealAll(renewed)["kubeconfigRaw"]).not.toBe(revealAll(kubeconfig.state)["kubeconfigRaw"]);
    const shorter = await plugin.update(KUBECONFIG, kubeconfig, {
      ...credentials,
      certificateRenewalDuration: "1h",
    });
    expect(revealAll(shorter)["kubeconfigRaw"]).toBe(revealAll(kubeconfig.state)["kubeconfigRaw"]);
  });
});
