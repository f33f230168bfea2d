import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as grpc from "@grpc/grpc-js";
import engineGrpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import type enginePb from "@pulumi/pulumi/proto/engine_pb.js";
import providerPb from "@pulumi/pulumi/proto/provider_pb.js";
import statusPb from "@pulumi/pulumi/proto/status_pb.js";
import emptyPb from "google-protobuf/google/protobuf/empty_pb.js";
import { parse, stringify } from "yaml";
import { redactMachineConfig } from "../../talos/redact.ts";
import { Secret, unmarshalProperties, type Properties } from "../../lab/plugins/values.ts";
import { inputsFor } from "./nodeUpgradeHarness.ts";
import { PluginClient, urnOf } from "./pluginClient.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

const executable = join(import.meta.dirname, "../../provider/pulumi-resource-talos-node");
const type = "talos-node:index:NodeUpgrade";

/** Log lines that the engine received. */
interface Heard {
  urn: string;
  message: string;
  ephemeral: boolean;
}

let cluster: SimulatedCluster;
let engine: grpc.Server;
let engineAddress: string;
const heard: Heard[] = [];
let plugin: PluginClient;

beforeAll(async () => {
  cluster = await SimulatedCluster.start({ subnet: "127.44.6", workers: 1 });
  engine = new grpc.Server();
  engine.addService(engineGrpc.EngineService, {
    log: (call: { request: enginePb.LogRequest }, callback: grpc.sendUnaryData<emptyPb.Empty>) => {
      const { request } = call;
      heard.push({ urn: request.getUrn(), message: request.getMessage(), ephemeral: request.getEphemeral() });
      callback(null, new emptyPb.Empty());
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    engine.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  engineAddress = `127.0.0.1:${port}`;
  plugin = await PluginClient.start(executable, [engineAddress]);
});
afterAll(async () => {
  await plugin.stop();
  engine.forceShutdown();
  await cluster.stop();
});

/** Fails if a credential is in plain text anywhere in the value. */
function expectNoLeak(value: unknown): void {
  const text = JSON.stringify(value);
  for (const secret of Object.values(cluster.credentials) as string[]) expect(text).not.toContain(secret);
}

const asProperties = (values: Record<string, unknown>): Properties => values as Properties;

describe("the plugin process, driven as by the engine", () => {
  it("marks the credentials as secrets from the first answer on", async () => {
    const { inputs, failures } = await plugin.check(type, asProperties(inputsFor(cluster, "w1")));
    expect(failures).toEqual({});
    expect(inputs["clientConfiguration"]).toBeInstanceOf(Secret);
    expect(inputs["talosVersion"]).toBe("v1.13.9");
    expectNoLeak(inputs);
  });

  it("names bad inputs, and refuses an unknown resource type", async () => {
    const bad = asProperties(inputsFor(cluster, "w1", { talosVersion: "1.13" }));
    expect((await plugin.check(type, bad)).failures).toEqual({
      talosVersion: expect.stringMatching(/^\[talosVersion\] /) as string,
    });
    const other = await plugin.check("talos-node:index:Other", {});
    expect(Object.values(other.failures)).toEqual(["this plugin has no resource talos-node:index:Other"]);
  });

  it("leaves the comparison of inputs to the engine, and replaces a node whose address changed", async () => {
    const inputs = asProperties(inputsFor(cluster, "w1"));
    const same = { inputs, state: inputs };
    expect(await plugin.diff(type, same, { ...inputs, talosVersion: "v1.14.0" })).toMatchObject({
      replaces: [],
    });
    expect(await plugin.diff(type, same, { ...inputs, node: "127.44.6.99" })).toMatchObject({
      changes: true,
      detailed: {},
      replaces: ["node"],
    });
  });

  it("keeps the node's true state after a failure, finishes on update, repeats it on read, and never shows a secret", async () => {
    const { inputs } = await plugin.check(
      type,
      asProperties(inputsFor(cluster, "w1", { timeoutSeconds: 20 })),
    );
    const node = cluster.node("w1");
    node.faults.set("pull-not-found");
    const error = await plugin.create(type, inputs).then(
      () => undefined,
      (reason: unknown) => reason as grpc.ServiceError,
    );
    expect(error?.details).toMatch(/^w1 \(127\.44\.6\.21\), step "pull": the node could not pull/);
    const unfinished = initFailure(error);
    expect(unfinished.id).toBe("127.44.6.21");
    expect(unfinished.reasons).toEqual([error?.details]);
    expect(unfinished.state).toMatchObject({
      talosVersion: "v1.12.7",
      runningVersion: "v1.12.7",
      extensions: [],
    });
    expect(unfinished.state["clientConfiguration"]).toBeInstanceOf(Secret);

    node.faults.clear();
    const before = { id: unfinished.id, inputs, state: unfinished.state };
    const state = await plugin.update(type, before, inputs);
    expect(state).toMatchObject({
      talosVersion: "v1.13.9",
      runningVersion: "v1.13.9",
      extensions: ["siderolabs/iscsi-tools"],
    });
    expect(state).not.toHaveProperty("clientConfiguration");

    const read = await plugin.read(type, unfinished.id, { inputs, state });
    expect(read.state).toEqual(state);
    expect(read.inputs).toEqual(inputs);
    expect(await plugin.diff(type, { inputs, state }, inputs)).toMatchObject({ changes: false });

    // Older state has the credentials twice. A refresh of it must cause no diff.
    const twice = { ...state, clientConfiguration: inputs["clientConfiguration"] ?? null };
    expect((await plugin.read(type, unfinished.id, { inputs, state: twice })).state).toEqual(twice);
    expect(await plugin.diff(type, { inputs, state: twice }, inputs)).toMatchObject({ changes: false });
    expectNoLeak([error?.message, unfinished.state, state, read, heard]);

    await plugin.delete(type, unfinished.id, inputs, state);
    expect(node.snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1, reboots: 1 });
  });

  it("keeps the list of drivers in a refresh, whose outputs lack it", async () => {
    const membership = "talos-node:index:ClusterMembership";
    const drivers = { "csi.san.synology.com": { section: "synology", arrays: ["192.168.0.20"] } };
    const { inputs, failures } = await plugin.check(membership, {
      nodes: { w1: { node: cluster.node("w1").address, role: "worker" } },
      clientConfiguration: { ...cluster.credentials },
      ...{ onRemove: "keep", drain: {}, timeoutSeconds: 8, drivers },
    });
    expect(failures).toEqual({});
    const { id, state } = await plugin.create(membership, inputs);
    expect(state).not.toHaveProperty("drivers");
    const read = await plugin.read(membership, id, { inputs, state });
    expect(read.inputs).toEqual(inputs);
    expect(read.state).toEqual(state);
  });

  it("stores a machine configuration once, and finds a change by hand from it", async () => {
    const configurationType = "talos-node:index:NodeConfiguration";
    const node = cluster.node("w1");
    const config = parse(node.config?.text ?? "") as { machine: Record<string, unknown> };
    config.machine["sysctls"] = { "vm.nr_hugepages": "1024" };
    const machineConfiguration = stringify(config);
    const { inputs, failures } = await plugin.check(configurationType, {
      name: "w1",
      node: node.address,
      role: "worker",
      controlPlanes: [cluster.node("cp1").address],
      clientConfiguration: { ...cluster.credentials },
      machineConfiguration,
      configuration: redactMachineConfig(machineConfiguration),
      patches: ["machine: { sysctls: { vm.nr_hugepages: '1024' } }"],
      contract: "v1.12",
    });
    expect(failures).toEqual({});
    const { id, state } = await plugin.create(configurationType, inputs);
    const long = ["clientConfiguration", "machineConfiguration", "configuration", "patches", "given"];
    for (const name of long) expect(state).not.toHaveProperty(name);
    expect(await plugin.diff(configurationType, { inputs, state }, inputs)).toMatchObject({ changes: false });
    expect(await plugin.read(configurationType, id, { inputs, state })).toMatchObject({ inputs, state });

    node.disk.config = machineConfiguration.replace('"1024"', '"1"');
    const drifted = await plugin.read(configurationType, id, { inputs, state });
    expect(drifted.state["changedByHand"]).toEqual([
      expect.stringMatching(/^~ machine\.sysctls\.vm\.nr_hugepages: /),
    ]);
    expect(drifted.inputs["configuration"]).not.toEqual(inputs["configuration"]);
    for (const name of long) expect(drifted.state).not.toHaveProperty(name);
    // The program's inputs are unchanged. Only the change by hand differs, and an update reverts it.
    const { diffs } = await plugin.diff(configurationType, drifted, {
      ...inputs,
      changedByHand: drifted.state["changedByHand"] ?? null,
    });
    expect(diffs).toEqual([]);
    await plugin.update(configurationType, drifted, inputs);
    expect(node.disk.config).toContain('"1024"');
  });

  it("shows one status line that moves through the steps, on its resource", () => {
    const urn = urnOf(type);
    const lines = heard.filter((line) => line.urn === urn && line.ephemeral).map(({ message }) => message);
    expect(lines).toContainEqual(expect.stringMatching(/^\[7\/11\] drain · \d+ s$/));
    expect(heard.filter((line) => line.urn === urn && !line.ephemeral).map(({ message }) => message)).toEqual(
      ["w1 (127.44.6.21) upgraded: runs v1.13.9 with schematic c9078f941996…"],
    );
  });

  it("stops within a second of a cancel", async () => {
    const own = await PluginClient.start(executable, [engineAddress]);
    try {
      cluster.node("cp1").faults.set("not-ready");
      const work = own
        .create(type, asProperties(inputsFor(cluster, "cp1")))
        .catch((reason: unknown) => reason);
      const before = heard.length;
      while (!heard.slice(before).some(({ message }) => message.includes("guard"))) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const asked = performance.now();
      await own.cancel();
      expect(String(await work)).toMatch(
        /step "guard": cancelled; steps left: guard, pull, install, gate, drain, reboot, verify, uncordon/,
      );
      expect(performance.now() - asked).toBeLessThan(1_000);
      expect(cluster.node("cp1").snapshot()).toMatchObject({ version: "v1.12.7", reboots: 0 });
    } finally {
      cluster.node("cp1").faults.clear();
      await own.stop();
    }
  });

  it("stops between steps when its engine is killed, cleans nothing up, and exits", async () => {
    // A separate process stands in for the engine, so it can be killed.
    const listener = `const s = new (require("@grpc/grpc-js").Server)(); s.bindAsync("127.0.0.1:0", require("@grpc/grpc-js").ServerCredentials.createInsecure(), (_, port) => console.log(port));`;
    const killed = spawn(process.execPath, ["-e", listener], {
      cwd: join(import.meta.dirname, "../.."),
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [port] = (await once(createInterface({ input: killed.stdout }), "line")) as [string];
    const own = await PluginClient.start(executable, [`127.0.0.1:${port}`]);
    try {
      const node = cluster.node("cp1");
      node.faults.set("slow-pull", { value: 100 });
      const work = own.create(type, asProperties(inputsFor(cluster, "cp1", { timeoutSeconds: 60 }))).then(
        () => "finished",
        (error: unknown) => String(error),
      );
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      killed.kill("SIGKILL");
      expect(await Promise.race([work, own.ended.then(() => "ended")])).toMatch(
        /ended|cancelled|UNAVAILABLE/,
      );
      await own.ended;
      node.faults.clear();
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      expect(node.snapshot()).toMatchObject({ version: "v1.12.7", upgrades: 0, reboots: 0 });
    } finally {
      killed.kill("SIGKILL");
      await own.stop();
    }
  });
});

/** The details of a create or update that failed halfway. */
function initFailure(error: grpc.ServiceError | undefined): {
  id: string;
  reasons: string[];
  state: Properties;
} {
  const [details] = error?.metadata.get("grpc-status-details-bin") ?? [];
  const status = statusPb.Status.deserializeBinary(details as Buffer);
  const failed = providerPb.ErrorResourceInitFailed.deserializeBinary(
    status.getDetailsList()[0]!.getValue_asU8(),
  );
  return {
    id: failed.getId(),
    reasons: failed.getReasonsList(),
    state: unmarshalProperties(failed.getProperties()),
  };
}
