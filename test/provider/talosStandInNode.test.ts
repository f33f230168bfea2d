import { createHash, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SimulatedNode } from "../../lab/node/node.ts";
import { LabNetwork } from "../../lab/node/network.ts";
import type { ClusterRuntime } from "../../lab/node/runtime.ts";
import { readObject, readText } from "../../lab/plugins/read.ts";
import { revealAll, Secret } from "../../lab/plugins/values.ts";
import type { Properties } from "../../lab/plugins/values.ts";
import { resolveTools } from "../../tools/resolve.ts";
import { PluginClient } from "./pluginClient.ts";

const SECRETS = "talos:machine/secrets:Secrets";
const APPLY = "talos:machine/configurationApply:ConfigurationApply";
const BOOTSTRAP = "talos:machine/bootstrap:Bootstrap";
const KUBECONFIG = "talos:cluster/kubeconfig:Kubeconfig";
const ADDRESS = "127.47.1.11";
const INSTALLER = "ghcr.io/siderolabs/installer:v1.12.7";

/** There is no Kubernetes here; nothing of what is tested needs one. */
const noKubernetes: ClusterRuntime = {
  configActive: async () => undefined,
  bootstrapped: async () => undefined,
  kubeletUp: async () => undefined,
  kubeletDown: async () => undefined,
  health: async () => ({ apiServer: false, nodeReady: false }),
  removed: async () => undefined,
};

let plugin: PluginClient;
let node: SimulatedNode;
let credentials: Properties;
let applied: { id: string; inputs: Properties; state: Properties };
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
  const inputs = { ...credentials, machineConfigurationInput: result["machineConfiguration"] };
  applied = { id: "", inputs, state: {} };
}, 1_200_000);

afterAll(async () => {
  await plugin.stop();
  await node.stop();
});

async function update(inputs: Properties, preview = false): Promise<Properties> {
  const state = await plugin.update(APPLY, applied, inputs, { preview });
  if (!preview) {
    applied = { ...applied, inputs, state };
  }
  return state;
}

const lastApplied = () => node.appliedConfigs.at(-1);
const hash = (state: Properties) =>
  createHash("sha256")
    .update(readText(state, "machineConfiguration") ?? "")
    .digest("hex");

describe("a machine, from its first configuration to its reset", () => {
  it("gets its configuration in maintenance mode, without credentials that it could check", async () => {
    expect(node.config).toBeUndefined();
    applied = { ...applied, ...(await plugin.create(APPLY, applied.inputs)) };
    expect(applied.id).toBe("machine_configuration_apply");
    expect(applied.state["machineConfiguration"]).toBeInstanceOf(Secret);
    expect(applied.state["machineConfigurationHash"]).toBe(hash(applied.state));
    expect(lastApplied()?.sha256).toBe(hash(applied.state));
    await expect.poll(() => node.config?.clusterId, { timeout: 20_000 }).toBeTruthy();
  });

  it("is bootstrapped, however long it takes to come up", async () => {
    const bootstrap = await plugin.create(BOOTSTRAP, credentials);
    expect(bootstrap.id).toBe("machine_bootstrap");
    expect(bootstrap.state["endpoint"]).toBe(ADDRESS);
    await expect.poll(() => node.boot?.services.isUp("etcd"), { timeout: 20_000 }).toBe(true);
  });

  it("refuses a second bootstrap until the time is up, as under the published provider", async () => {
    await expect(plugin.create(BOOTSTRAP, { ...credentials, timeouts: { create: "5s" } })).rejects.toThrow(
      /bootstrap etcd on node 127\.47\.1\.11: gave up after 5s; last answer: .*AlreadyExists/,
    );
  });

  it("hands out a kubeconfig whose client certificate its own CA has signed", async () => {
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

  it("keeps that kubeconfig until its certificate nears its end", async () => {
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

  it("takes a change at once, over its own certificates by now", async () => {
    const boots = node.boots.length;
    await update({ ...applied.inputs, configPatches: ["machine: {sysctls: {vm.swappiness: '10'}}"] });
    expect(readText(applied.state, "machineConfiguration")).toContain("vm.swappiness");
    expect(lastApplied()?.sha256).toBe(hash(applied.state));
    expect(node.boots).toHaveLength(boots);
  });

  it("is not rebooted by staged_if_needing_reboot, and the preview already says so", async () => {
    const boots = node.boots.length;
    const staging = { ...applied.inputs, applyMode: "staged_if_needing_reboot" };
    const harmless = { ...staging, configPatches: ["machine: {sysctls: {vm.swappiness: '20'}}"] };
    expect((await update(harmless, true))["resolvedApplyMode"]).toBe("auto");
    const needsReboot = { ...staging, configPatches: ["machine: {udev: {rules: ['SUBSYSTEM==\"block\"']}}"] };
    expect((await update(needsReboot, true))["resolvedApplyMode"]).toBe("staged");
    const count = node.appliedConfigs.length;
    await update(needsReboot);
    expect(applied.state["resolvedApplyMode"]).toBe("staged");
    expect(node.appliedConfigs.slice(count).map(({ mode }) => mode)).toEqual(["staged"]);
    expect(node.boots).toHaveLength(boots);
  });

  it("does not repeat what the machine will never take", async () => {
    const { configPatches: _none, ...rest } = applied.inputs;
    const wrong = { ...rest, applyMode: "auto", machineConfigurationInput: "machine: {type: nonsense}" };
    const started = Date.now();
    await expect(update(wrong)).rejects.toThrow(
      /apply the machine configuration to node 127\.47\.1\.11: .*InvalidArgument/,
    );
    expect(Date.now() - started).toBeLessThan(15_000);
  });

  it("is left alone by a deletion, and goes back to maintenance mode if that is what onDestroy says", async () => {
    const { id, inputs, state } = applied;
    await plugin.delete(APPLY, id, inputs, state);
    expect(node.config?.clusterId).toBeTruthy();
    const onDestroy = { reset: true, graceful: false, reboot: true };
    const withReset = await plugin.create(
      APPLY,
      { ...inputs, applyMode: "auto", onDestroy },
      { preview: true },
    );
    await plugin.delete(APPLY, id, inputs, withReset.state);
    await expect.poll(() => node.snapshot().stage, { timeout: 20_000 }).toBe("maintenance");
    expect(node.config).toBeUndefined();
  });
});
