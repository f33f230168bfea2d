import { afterAll, beforeAll, expect, it } from "vitest";
import type { Properties } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { TalosError } from "../../talos/api/errors.ts";
import type { TalosConnection } from "../../talos/api/transport.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { createHarness, inputsFor } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

/** A refresh of many nodes: how often each is queried, and that none waits for another. */

const nodes = 20;
let cluster: SimulatedCluster;
beforeAll(async () => {
  const options = { subnet: "127.49.43", version: "v1.13.9", workers: 1, kubernetesVersion: "v1.35.4" };
  cluster = await SimulatedCluster.start(options);
});
afterAll(async () => cluster.stop());

const urn = (type: string, name: string): string =>
  `urn:pulumi:dev::talos-iscsi::talos-node:index:${type}::${name}`;

/** Every address leads to the simulated worker. It answers once `gate` opens, and calls and connections are counted. */
function connecting(calls: string[], gate: () => Promise<void>, dialled: string[]): typeof connectActor {
  const { address } = cluster.node("w1");
  return (connection: TalosConnection) => {
    dialled.push(connection.endpoint);
    const actor = connectActor({ ...connection, endpoint: address, node: address });
    return new Proxy(actor, {
      get(target, key) {
        const member: unknown = Reflect.get(target, key);
        if (typeof member !== "function" || key === "close" || key === "reconnect")
          return typeof member === "function" ? (member.bind(target) as unknown) : member;
        return async (...args: unknown[]): Promise<unknown> => {
          calls.push(`${connection.node} ${String(key)}`);
          await gate();
          return (member as (...given: unknown[]) => unknown).apply(target, args);
        };
      },
    });
  };
}

function stateOf(index: number): { configuration: Properties; upgrade: Properties } {
  const given = cluster.node("w1").config?.text ?? "";
  // Kubernetes was upgraded since. The node's own images cause no diff.
  const text = index % 2 === 0 ? given : given.replaceAll("v1.35.4", "v1.34.1");
  const shared = { name: `w${index}`, node: `10.0.${index >> 8}.${index & 255}` };
  const credentials = { clientConfiguration: { ...cluster.credentials } };
  return {
    configuration: {
      ...{ ...shared, ...credentials, role: "worker", controlPlanes: ["10.0.1.1"] },
      ...{ machineConfiguration: text, configuration: redactMachineConfig(text) },
      ...{ patches: [], acceptDropped: [], contract: "v1.12" },
    },
    upgrade: inputsFor(cluster, "w1", shared),
  };
}

it("queries each node only a few times, all nodes in parallel, and finds no drift where there is none", async () => {
  const calls: string[] = [];
  const dialled: string[] = [];
  const asked = new Set<string>();
  const gate = Promise.withResolvers<void>();
  // No query is answered before every node was asked for its configuration and its image.
  const connect = connecting(
    calls,
    async () => {
      for (const call of calls) if (/ (?:machineConfiguration|version)$/.test(call)) asked.add(call);
      if (asked.size === 2 * nodes) gate.resolve();
      await gate.promise;
    },
    dialled,
  );
  const { provider, warnings } = createHarness(new FakeKubernetes(), { probeMs: 60_000 }, connect);
  const states = Array.from({ length: nodes }, (_, index) => stateOf(index));
  const read = await Promise.all(
    states.map(async ({ configuration, upgrade }, index) => {
      const [first, second] = await Promise.all([
        provider.read("id", urn("NodeConfiguration", `c${index}`), configuration),
        provider.read("id", urn("NodeUpgrade", `u${index}`), upgrade),
      ]);
      return [first.inputs, second.inputs].map((inputs) => inputs);
    }),
  );
  expect(warnings).toEqual([]);
  for (const [index, [configuration, upgrade]] of read.entries()) {
    expect(configuration).toMatchObject({ configuration: states[index]?.configuration["configuration"] });
    expect(configuration).not.toHaveProperty("changedByHand");
    expect(upgrade).toMatchObject({ talosVersion: "v1.13.9" });
  }
  // One connection serves both resources of a node.
  expect(dialled).toHaveLength(nodes);
  const ofOne = calls.filter((call) => call.startsWith("10.0.0.7 ")).map((call) => call.split(" ")[1]);
  // Without iscsi-tools, the initiator name is also looked up where older releases had it.
  const name = ["readText", "readText", "readText"];
  const others = ["version", "extensions", "services", "kubernetesNode", "hasFile"];
  expect(ofOne.sort()).toEqual(["machineConfiguration", ...others, ...name].sort());
}, 180_000);

it("reads all nodes at once, however few resources the engine refreshes at a time", async () => {
  const calls: string[] = [];
  const asked = new Set<string>();
  const gate = Promise.withResolvers<void>();
  const connect = connecting(calls, async () => {
    for (const call of calls) if (/ (?:machineConfiguration|version)$/.test(call)) asked.add(call);
    if (asked.size === 2 * nodes) gate.resolve();
    await gate.promise;
  }, []);
  const { provider, warnings } = createHarness(new FakeKubernetes(), { probeMs: 60_000 }, connect);
  const states = Array.from({ length: nodes }, (_, index) => stateOf(index));
  const readiness: Properties = {
    ...{ clientConfiguration: { ...cluster.credentials }, controlPlanes: ["10.0.1.1"] },
    nodes: Object.fromEntries(states.map(({ upgrade }) => [String(upgrade["name"]), upgrade])),
  };
  await provider.read("readiness", urn("RolloutReadiness", "readiness"), readiness);
  const inputs: Properties[] = [];
  for (const [index, { configuration, upgrade }] of states.entries()) {
    inputs.push((await provider.read("id", urn("NodeConfiguration", `c${index}`), configuration)).inputs);
    inputs.push((await provider.read("id", urn("NodeUpgrade", `u${index}`), upgrade)).inputs);
  }
  expect(warnings).toEqual([]);
  expect(inputs.every((one) => one["changedByHand"] === undefined)).toBe(true);
  expect(calls.filter((call) => call === "10.0.0.7 machineConfiguration")).toHaveLength(1);
  expect(calls.filter((call) => call === "10.0.0.7 version")).toHaveLength(1);
  const kubernetes: Properties = {
    ...{ clientConfiguration: { ...cluster.credentials }, kubernetesVersion: "v1.35.4" },
    nodes: Object.fromEntries(
      states.map(({ upgrade: { name, node } }) => [String(name), { node, role: "worker" }]),
    ),
  };
  const upgrade = await provider.read("kubernetes", urn("KubernetesUpgrade", "kubernetes"), kubernetes);
  expect(Object.keys(upgrade.props["running"] as object)).toHaveLength(nodes);
  expect(calls.filter((call) => call.startsWith("10.0.0.7 "))).toHaveLength(9);
  // An answer is used once: the next refresh of a resource asks its node.
  await provider.read("id", urn("NodeUpgrade", "u7"), states[7]?.upgrade ?? {});
  expect(calls.filter((call) => call === "10.0.0.7 version")).toHaveLength(2);
}, 180_000);

it("reports a node that a refresh could not read, by its own resource", async () => {
  let answers = false;
  const refuse = async (): Promise<void> => {
    if (!answers)
      throw new TalosError("unreachable", "10.0.0.3", "MachineService.Version", "no route to host");
  };
  const { provider, warnings } = createHarness(new FakeKubernetes(), {}, connecting([], refuse, []));
  const { configuration, upgrade } = stateOf(3);
  const readiness = (): Promise<unknown> =>
    provider.read("readiness", urn("RolloutReadiness", "readiness"), {
      clientConfiguration: { ...cluster.credentials },
      nodes: { w3: upgrade },
    });
  await readiness();
  const { inputs } = await provider.read("id", urn("NodeUpgrade", "u3"), upgrade);
  expect(inputs).toMatchObject({ talosVersion: upgrade["talosVersion"] });
  expect(warnings.join("\n")).toMatch(/w3 \(10\.0\.0\.3\).*no route to host/s);
  // It answers when its resources are refreshed: what failed before is no finding.
  warnings.length = 0;
  await readiness();
  answers = true;
  await provider.read("id", urn("NodeConfiguration", "c3"), configuration);
  const later = await provider.read("id", urn("NodeUpgrade", "u3"), upgrade);
  expect(later.inputs).toMatchObject({ talosVersion: "v1.13.9" });
  expect(warnings).toEqual([]);
});
