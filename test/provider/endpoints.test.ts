import { stringify, parse } from "yaml";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LabNetwork } from "../../lab/node/network.ts";
import { SimulatedNode } from "../../lab/node/node.ts";
import { realClock } from "../../provider/clock.ts";
import type { Properties } from "../../provider/secrets.ts";
import { connectTalos } from "../../talos/api/client.ts";
import type { TalosError } from "../../talos/api/errors.ts";
import { reach } from "../../talos/endpoint.ts";
import { formatMembers, formatEndpoints } from "../../talos/rolloutMembers.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { expectFailure, createHarness, inputsFor, urn } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster, waitingMachine } from "./simulatedCluster.ts";

// Nodes reached through other endpoints: w1 is in a network that only the control planes can reach, w2 listens on another port.

const configurationUrn =
  "urn:pulumi:dev::talos-iscsi::talos-iscsi:index:TalosCluster$talos-node:index:NodeConfiguration::cluster-config";

let cluster: SimulatedCluster;
let endpoints: Record<string, string[]>;

beforeAll(async () => {
  cluster = await SimulatedCluster.start({
    subnet: "127.58.1",
    controlPlanes: 3,
    workers: 3,
    api: { w1: "closed", w2: 50021, w3: "closed" },
  });
  endpoints = { "*": ["127.58.1.11", "127.58.1.12", "127.58.1.13"], "127.58.1.22": ["127.58.1.22:50021"] };
});
afterAll(async () => cluster?.stop());

/** A connection as the provider makes it. */
function dial(name: string, ways: readonly string[] = reach(cluster.node(name).address, endpoints)) {
  const [endpoint = "", ...others] = ways;
  return connectTalos({
    endpoint,
    others,
    node: cluster.node(name).address,
    credentials: cluster.credentials,
  });
}

async function downWhile<T>(name: string, work: () => Promise<T>): Promise<T> {
  const node = cluster.node(name);
  node.faults.set("node-down");
  try {
    return await work();
  } finally {
    node.faults.clear("node-down");
    await cluster.ready();
  }
}

function configurationInputs(name: string, more: Properties = {}): Properties {
  const config = parse(cluster.node(name).config?.text ?? "") as { machine: Record<string, unknown> };
  config.machine["sysctls"] = { "vm.nr_hugepages": "1024" };
  const machineConfiguration = stringify(config);
  return {
    name,
    node: cluster.node(name).address,
    role: "worker",
    controlPlanes: ["cp1", "cp2", "cp3"].map((other) => cluster.node(other).address),
    endpoints,
    clientConfiguration: { ...cluster.credentials },
    machineConfiguration,
    configuration: redactMachineConfig(machineConfiguration),
    patches: ['machine:\n  sysctls:\n    vm.nr_hugepages: "1024"\n'],
    contract: "v1.12",
    timeoutSeconds: 3,
    ...more,
  };
}

describe("a node that is reached through other endpoints", () => {
  it.each(["w1", "w2"])(
    "%s does not answer at its own address, but does through its endpoint",
    async (name) => {
      const direct = dial(name, [cluster.node(name).address]);
      const through = dial(name);
      try {
        await expect(direct.version({ deadlineMs: 500 })).rejects.toMatchObject({ kind: "unreachable" });
        expect((await through.version({ deadlineMs: 2_000 })).tag).toBe("v1.12.7");
        expect(await through.bootId({ deadlineMs: 2_000 })).toBe(cluster.node(name).snapshot().bootId);
      } finally {
        direct.close();
        through.close();
      }
    },
  );

  it("is read through the next endpoint while one is down", async () => {
    await downWhile("cp1", async () => {
      const talos = dial("w1");
      try {
        expect(await talos.bootId({ deadlineMs: 3_000 })).toBe(cluster.node("w1").snapshot().bootId);
        expect((await talos.version({ deadlineMs: 3_000 })).tag).toBe("v1.12.7");
      } finally {
        talos.close();
      }
    });
  });

  it("reports that none of its endpoints answers, instead of calling the node down", async () => {
    const talos = dial("w1", ["127.58.1.111", "127.58.1.112"]);
    try {
      const failure = (await talos
        .version({ deadlineMs: 1_000 })
        .catch((error: unknown) => error)) as TalosError;
      expect(failure).toMatchObject({
        kind: "unreachable",
        detail: "none of its endpoints answers: 127.58.1.111, 127.58.1.112",
      });
    } finally {
      talos.close();
    }
  });

  it("names an endpoint that is a worker, and goes on to the next one", async () => {
    const talos = dial("w1", ["127.58.1.22:50021", "127.58.1.11"]);
    try {
      await expect(talos.version({ deadlineMs: 2_000 })).rejects.toMatchObject({
        kind: "unreachable",
        detail: "its endpoint 127.58.1.22:50021 is a worker, which forwards to no other node",
      });
      expect((await talos.version({ deadlineMs: 2_000 })).tag).toBe("v1.12.7");
    } finally {
      talos.close();
    }
  });

  it.each(["w1", "w2"])("%s gets its configuration", async (name) => {
    const { provider } = createHarness();
    const inputs = configurationInputs(name);
    const checked = await provider.check(configurationUrn, {}, inputs);
    expect(checked.failures).toEqual([]);
    expect((checked.inputs as Properties)["changes"]).toEqual(["+ machine.sysctls.vm.nr_hugepages: 1024"]);
    await provider.create(configurationUrn, checked.inputs as Properties);
    expect(cluster.node(name).snapshot().appliedConfigs).toHaveLength(1);
  });

  it.each(["w1", "w2"])("%s is upgraded", async (name) => {
    const { provider } = createHarness();
    const { outs } = await provider.create(urn, inputsFor(cluster, name, { endpoints, controlPlanes: [] }));
    expect(outs).toMatchObject({ runningVersion: "v1.13.9" });
    expect(cluster.node(name).snapshot()).toMatchObject({ upgrades: 1, reboots: 1 });
  });

  it("lets a control plane that is an endpoint itself be upgraded", async () => {
    const { provider } = createHarness(undefined, { recoveryMs: 5_000, guardMs: 5_000 });
    const { outs } = await provider.create(urn, inputsFor(cluster, "cp1", { endpoints, timeoutSeconds: 15 }));
    expect(outs).toMatchObject({ runningVersion: "v1.13.9" });
    expect(cluster.node("cp1").snapshot()).toMatchObject({ upgrades: 1 });
  });

  it("is refreshed", async () => {
    const inputs = inputsFor(cluster, "w3", { endpoints, controlPlanes: [] });
    const { props } = await createHarness().provider.read("127.58.1.23", urn, inputs);
    expect(props).toMatchObject({ runningVersion: "v1.12.7", kubernetesNode: "w3" });
  });
});

describe("a machine without a configuration at an endpoint's address", () => {
  let stray: SimulatedNode;
  beforeAll(async () => {
    stray = new SimulatedNode({
      name: "stray",
      address: "127.58.1.99",
      network: new LabNetwork(),
      runtime: {
        configActive: async () => undefined,
        bootstrapped: async () => undefined,
        kubeletUp: async () => undefined,
        staticPods: async () => undefined,
        kubeletDown: async () => undefined,
        health: async () => ({ apiServer: true, nodeReady: true }),
        removed: async () => undefined,
      },
      image: "ghcr.io/siderolabs/installer:v1.13.9",
    });
    await stray.start();
  });
  afterAll(async () => stray?.stop());

  it("is not mistaken for the node, and gets no configuration", async () => {
    const inputs = configurationInputs("w3", { endpoints: { "*": ["127.58.1.99"] } });
    const { provider, warnings } = createHarness();
    const checked = await provider.check(configurationUrn, {}, inputs);
    expect((checked.inputs as Properties)["changes"]).toEqual([
      "not known: w3 (127.58.1.23) could not be read",
    ]);
    expect(warnings.join()).toContain(
      "the endpoint 127.58.1.99 has a certificate that is not of this cluster",
    );
    const failed = await expectFailure(provider.create(configurationUrn, checked.inputs as Properties));
    expect(failed.message).toContain("[config-unreadable]");
    expect(failed.message).toContain("must answer at 127.58.1.23 itself");
    expect(stray.snapshot().appliedConfigs).toEqual([]);
  });

  it("does not make the node's certificate look foreign", async () => {
    const { provider } = createHarness();
    const inputs = inputsFor(cluster, "w3", { endpoints: { "*": ["127.58.1.99"] }, controlPlanes: [] });
    const failed = await expectFailure(provider.create(urn, inputs));
    expect(failed.message).not.toContain("its certificate is not from this stack's cluster");
    expect(failed.message).toContain("w3 (127.58.1.23)");
  });
});

describe("a new machine that is reachable through other endpoints only once it is configured", () => {
  it.each([
    ["on another port", "127.58.1.31", 50031, ["127.58.1.31:50031"]],
    ["in a network that only the control planes are in", "127.58.1.32", "closed", undefined],
  ] as const)("gets its first configuration: %s", async (_, address, api, own) => {
    const machine = waitingMachine(cluster, "w9", address, api);
    await machine.start();
    const ways = { ...endpoints, ...(own === undefined ? {} : { [address]: [...own] }) };
    const newcomer = { node: address, endpoints: ways, timeoutSeconds: 10 };
    const { provider } = createHarness();
    try {
      const checked = await provider.check(configurationUrn, {}, configurationInputs("w1", newcomer));
      expect(checked.failures).toEqual([]);
      expect((checked.inputs as Properties)["changes"]).toEqual([
        "+ everything: the machine waits for its first configuration",
      ]);
      await provider.create(configurationUrn, checked.inputs as Properties);
      const talos = connectTalos({
        endpoint: reach(address, ways)[0] ?? "",
        others: reach(address, ways).slice(1),
        node: address,
        credentials: cluster.credentials,
      });
      try {
        await expect.poll(() => machine.snapshot().stage, { timeout: 10_000 }).toBe("running");
        expect((await talos.version({ deadlineMs: 2_000 })).tag).toBe("v1.12.7");
      } finally {
        talos.close();
      }
    } finally {
      await machine.stop();
    }
  });
});

describe("another worker with its own endpoint", () => {
  it("is listed among the remaining nodes when a window closes", async () => {
    const members = ["w3", "w2"].map((name) => ({ name, node: cluster.node(name).address }));
    const standing = async (endpoints: Properties): Promise<unknown> => {
      const inputs = inputsFor(cluster, "w3", {
        ...{ talosVersion: "v1.13.6", extensions: [], services: [], files: [] },
        // What the components pass for one node: its own endpoints and those of the control planes.
        endpoints: { "127.58.1.23": ["127.58.1.11"] },
        rollout: {
          nodes: formatMembers(members, { talosVersion: "v1.13.6", schematicId: "" }),
          windows: [{ days: ["sun"], from: "00:00", to: "24:00", timeZone: "UTC" }],
          ...endpoints,
        },
      });
      const clock = { ...realClock, calendar: () => Date.UTC(2026, 10, 28, 12) };
      const { outs } = await createHarness(undefined, {}, undefined, clock).provider.create(urn, inputs);
      return outs["postponed"];
    };
    expect(await standing({})).toContain("Not read: w2.");
    const endpoints = formatEndpoints({ "127.58.1.22": ["127.58.1.22:50021"] }, [
      "127.58.1.22",
      "127.58.1.23",
    ]);
    expect(await standing({ endpoints })).toContain("Left: w3, w2.");
  });
});
