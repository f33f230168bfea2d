import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { DeploymentChanges } from "../../provider/deploymentChanges.ts";
import type { Clock } from "../../provider/clock.ts";
import { defaultTimeouts } from "../../provider/timeouts.ts";
import { SealedClients } from "../../provider/gate/sealedClients.ts";
import { nodeUpgradeInputs } from "../../provider/inputs.ts";
import { KubernetesError } from "../../provider/kubernetes.ts";
import { preflight } from "../../provider/preflight.ts";
import { Session, type Surroundings } from "../../provider/session.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { TalosError } from "../../talos/api/errors.ts";
import { FakeFleet, type Machine } from "../unit/provider/fakeFleet.ts";
import { steppingClock, virtualClock } from "../unit/provider/steppingClock.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { createHarness, inputsFor, urn } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

// Deadlines, polling rates, and what waits for what.

/** The jitter value that causes the most requests. */
const mostAsked = 0;
const wanted = { version: "v1.13.9", schematic: "a".repeat(64) };

function machine(name: string, role: Machine["role"], address: string): Machine {
  const runs = { version: "v1.13.7", schematic: "b".repeat(64) };
  return { name, role, address, runs, boot: 0, away: 0, installs: 0, boots: 0 };
}

function surroundings(fleet: FakeFleet, clock: Clock): Surroundings {
  const ignore = (): void => undefined;
  const talos = async () => (connection: { endpoint: string }) => fleet.client(connection.endpoint);
  return {
    talos,
    connectKubernetes: async () => fleet.kubernetes,
    acting: new SealedClients({ talos, kubernetes: async () => fleet.kubernetes }),
    clock,
    timeouts: defaultTimeouts,
    advised: new Set(),
    statusOf: () => ({ status: ignore, info: ignore, warn: ignore }),
  };
}

function inputsOf({ name, role, address }: Machine, controlPlanes: string[]) {
  return {
    ...{ name, node: address, role },
    talosVersion: wanted.version,
    schematicId: wanted.schematic,
    image: `factory.talos.dev/metal-installer/${wanted.schematic}:${wanted.version}`,
    ...{ extensions: [], services: [], files: [], controlPlanes },
    clientConfiguration: {},
    kubeconfig: "in memory",
  };
}

describe("errors that retries cannot fix", () => {
  it("a 403 at uncordon is not retried", async () => {
    const node = machine("w1", "worker", "10.0.1.1");
    const fleet = new FakeFleet([machine("cp1", "controlplane", "10.0.0.1"), node]);
    const clock = steppingClock(mostAsked);
    let refused = 0;
    fleet.kubernetes.before = (method) => {
      if (method !== "patchNode" || node.boots === 0) return;
      refused += 1;
      throw new KubernetesError("nodes is forbidden", 403);
    };
    const { upgradeNode } = await import("../../provider/upgrade.ts");
    const inputs = nodeUpgradeInputs(inputsOf(node, ["10.0.0.1"]));
    const session = await Session.open(surroundings(fleet, clock), urn, inputs, new AbortController().signal);
    const outcome = await upgradeNode(session.context);
    session.close();
    expect(outcome).toMatchObject({ ok: false, error: { step: "uncordon" } });
    expect(refused).toBe(1);
  });
});

describe("a deadline", () => {
  it("belongs to one node and one step: nodes that queue for the registry have all of their time", async () => {
    const limitMs = 90_000;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: limitMs / 2, max: limitMs - 1 }), { minLength: 120, maxLength: 120 }),
        fc.shuffledSubarray([...Array(120).keys()], { minLength: 120 }),
        async (pullMs, order) => {
          const all = pullMs.map((_, i) =>
            i < 3
              ? machine(`cp${i + 1}`, "controlplane", `10.0.0.${i + 1}`)
              : machine(`w${i}`, "worker", `10.0.1.${i}`),
          );
          const fleet = new FakeFleet(order.flatMap((index) => all[index] ?? []));
          const clock = virtualClock();
          const deadlines: number[] = [];
          const running = { now: 0, most: 0 };
          const around = surroundings(fleet, clock);
          const slow: Surroundings = {
            ...around,
            talos: async () => (connection) => {
              const client = fleet.client(connection.endpoint);
              const index = fleet.machines.findIndex(({ address }) => address === client.node);
              const pull = client.pull.bind(client);
              client.pull = async (image, onProgress, call) => {
                deadlines.push(call?.deadlineMs ?? 0);
                running.most = Math.max(running.most, ++running.now);
                await clock.sleep(pullMs[index] ?? 0, new AbortController().signal);
                running.now -= 1;
                if ((call?.deadlineMs ?? 0) < (pullMs[index] ?? 0))
                  throw new TalosError("timeout", client.node, "pull", "no answer in time");
                return pull(image, onProgress, call);
              };
              return client;
            },
          };
          const inputs = {
            nodes: fleet.machines.map((one) => inputsOf(one, ["10.0.0.1", "10.0.0.2", "10.0.0.3"])),
            ...{ clientConfiguration: {}, kubeconfig: "in memory", timeoutSeconds: limitMs / 1000 },
          };
          const { signal } = new AbortController();
          const found = await preflight(slow, urn, inputs, signal, new DeploymentChanges());
          expect(found.nodes.filter(({ due }) => due)).toHaveLength(120);
          expect(deadlines).toEqual(Array.from({ length: 120 }, () => limitMs));
          expect(running.most).toBe(8);
          // The last nodes waited longer in the queue than a node may take for its pull.
          expect(clock.now()).toBeGreaterThan(7 * limitMs);
        },
      ),
      { numRuns: 5 },
    );
  });

  it("of a node's step is not used up by earlier steps", async () => {
    const node = machine("w1", "worker", "10.0.1.1");
    const fleet = new FakeFleet([machine("cp1", "controlplane", "10.0.0.1"), node]);
    const clock = steppingClock(mostAsked);
    const around = surroundings(fleet, clock);
    const deadlines: Record<string, number> = {};
    const slow: Surroundings = {
      ...around,
      talos: async () => (connection) => {
        const client = fleet.client(connection.endpoint);
        const pull = client.pull.bind(client);
        client.pull = async (...args) => {
          deadlines["pull"] = args[2]?.deadlineMs ?? 0;
          await clock.sleep(80_000, new AbortController().signal);
          return pull(...args);
        };
        return client;
      },
      acting: new SealedClients({
        kubernetes: async () => fleet.kubernetes,
        talos: async () => (connection) => {
          const client = fleet.client(connection.endpoint);
          const install = client.install.bind(client);
          client.install = async (...args) => {
            deadlines["install"] = args[2]?.deadlineMs ?? 0;
            await clock.sleep(80_000, new AbortController().signal);
            return install(...args);
          };
          return client;
        },
      }),
    };
    const inputs = nodeUpgradeInputs({ ...inputsOf(node, ["10.0.0.1"]), timeoutSeconds: 90 });
    const session = await Session.open(slow, urn, inputs, new AbortController().signal);
    const { upgradeNode } = await import("../../provider/upgrade.ts");
    const outcome = await upgradeNode(session.context);
    session.close();
    expect(outcome.ok).toBe(true);
    expect(deadlines).toEqual({ pull: 90_000, install: 90_000 });
  });
});

describe("simulated nodes", () => {
  let cluster: SimulatedCluster;
  afterEach(async () => cluster?.stop());

  it("API calls of an upgrade, by kind", async () => {
    const subnet = "127.44.81";
    const kubernetes = new FakeKubernetes();
    cluster = await SimulatedCluster.start({
      ...{ subnet, version: "v1.13.7", controlPlanes: 3, workers: 1 },
      timings: { pullSeconds: 1, installSeconds: 2, rebootSeconds: 1, bootSeconds: 3 },
      runtime: {
        kubeletUp: async ({ name }) =>
          void Object.assign(kubernetes.cluster.get(name) ?? {}, { ready: true }),
        kubeletDown: async ({ name }) =>
          void Object.assign(kubernetes.cluster.get(name) ?? {}, { ready: false }),
      },
    });
    for (const { name, address } of cluster.nodes) kubernetes.add(name, address);
    const drained = { drain: { enabled: true, timeoutSeconds: 60 }, kubeconfig: "x", timeoutSeconds: 120 };
    for (const [name, most] of [
      ["cp2", 260],
      ["w1", 220],
    ] as const) {
      const calls: Record<string, number> = {};
      kubernetes.calls.clear();
      const counting = (connection: Parameters<typeof connectActor>[0]) =>
        new Proxy(connectActor(connection), {
          get: (target, key) => {
            const value: unknown = Reflect.get(target, key);
            if (typeof value !== "function") return value;
            return (...args: unknown[]): unknown => {
              const local = ["close", "reconnect"];
              if (!local.includes(String(key))) calls[String(key)] = (calls[String(key)] ?? 0) + 1;
              return (value as (...args: unknown[]) => unknown).apply(target, args);
            };
          },
        });
      const begun = performance.now();
      await createHarness(kubernetes, defaultTimeouts, counting).provider.create(
        urn,
        inputsFor(cluster, name, drained),
      );
      const took = ((performance.now() - begun) / 1000).toFixed(1);
      const sum = Object.values(calls).reduce((total, count) => total + count, 0);
      console.log(
        `${name}, ${took} s: Talos ${sum}`,
        calls,
        "Kubernetes",
        Object.fromEntries(kubernetes.calls),
      );
      expect(calls).toMatchObject({ install: 1, reboot: 1, pull: 1 });
      expect(sum).toBeLessThanOrEqual(most);
    }
  });

  it("a configuration that restarts the API server is waited for, so the next upgrade starts at once", async () => {
    cluster = await SimulatedCluster.start({
      ...{ subnet: "127.44.82", version: "v1.13.7", controlPlanes: 1 },
      timings: { bootSeconds: 2 },
    });
    const node = cluster.node("cp1");
    const config = parse(node.config?.text ?? "") as { cluster: { apiServer?: object } };
    config.cluster.apiServer = { certSANs: ["10.0.0.1"] };
    const machineConfiguration = stringify(config);
    const unmet = new Set<string>();
    const watch = setInterval(() => node.snapshot().unmet.forEach(({ name }) => unmet.add(name)), 5);
    const timeouts = { guardMs: 1, recoveryMs: 30_000, steadyMs: 1_000, serviceMs: 30_000 };
    await createHarness(undefined, timeouts).provider.create(
      "urn:pulumi:dev::talos-iscsi::talos-node:index:NodeConfiguration::config",
      {
        ...{ name: "cp1", node: node.address, role: "controlplane", controlPlanes: [node.address] },
        clientConfiguration: { ...cluster.credentials },
        ...{ machineConfiguration, configuration: "redacted", contract: "v1.12", acceptDropped: [] },
        patches: ["cluster:\n  apiServer:\n    certSANs: [10.0.0.1]\n"],
      },
    );
    clearInterval(watch);
    expect([...unmet]).toContain("staticPods");
    expect(node.snapshot()).toMatchObject({ ready: true, unmet: [] });
    const impatient = { guardMs: 1, recoveryMs: 1 };
    await createHarness(undefined, impatient).provider.create(urn, inputsFor(cluster, "cp1"));
    expect(node.snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1 });
  });

  it("an upgrade waits for restarting static pods longer than for possible failures", async () => {
    cluster = await SimulatedCluster.start({
      ...{ subnet: "127.44.83", version: "v1.13.7", controlPlanes: 1 },
      timings: { bootSeconds: 2 },
    });
    const node = cluster.node("cp1");
    const config = parse(node.config?.text ?? "") as { cluster: { apiServer?: object } };
    config.cluster.apiServer = { certSANs: ["10.0.0.1"] };
    const somebody = connectActor({ endpoint: node.address, credentials: cluster.credentials });
    await somebody.applyConfiguration({ data: stringify(config), mode: "NO_REBOOT" });
    somebody.close();
    while (node.snapshot().ready) await new Promise((resolve) => setTimeout(resolve, 5));
    await createHarness(undefined, { guardMs: 1, recoveryMs: 30_000 }).provider.create(
      urn,
      inputsFor(cluster, "cp1", { timeoutSeconds: 60 }),
    );
    expect(node.snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1 });
  });
});
