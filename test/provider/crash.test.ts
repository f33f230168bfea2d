import { afterAll, describe, expect, it } from "vitest";
import { realClock } from "../../provider/clock.ts";
import { defaultTimeouts } from "../../provider/timeouts.ts";
import { SealedClients } from "../../provider/gate/sealedClients.ts";
import type { KubernetesClient, NodeRemover } from "../../provider/kubernetes.ts";
import { TalosNodeProvider } from "../../provider/plugin.ts";
import { connectActor } from "../../talos/api/actor.ts";
import type { TalosActor } from "../../talos/api/talosClient.ts";
import type { TalosConnection } from "../../talos/api/transport.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { createHarness, inputsFor, shortTimeouts, urn } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

const clusters: SimulatedCluster[] = [];
let subnets = 0;
afterAll(async () => {
  await Promise.all(clusters.map((cluster) => cluster.stop()));
});

const never = new Promise<never>(() => undefined);

/** A provider that can be killed, in the middle of a call or between calls. After that it sends and receives nothing. */
function killable(kubernetes: FakeKubernetes): { provider: TalosNodeProvider; kill: () => void } {
  let dead = false;
  const connections: { close(): void }[] = [];
  const mortal = <T extends object>(target: T): T =>
    new Proxy(target, {
      get: (object, name) => {
        const member: unknown = Reflect.get(object, name, object);
        if (typeof member !== "function") return member;
        return (...args: unknown[]): unknown => {
          if (dead) return never;
          const result: unknown = Reflect.apply(member, object, args);
          if (!(result instanceof Promise)) return result;
          return result.then(
            (value: unknown) => (dead ? never : value),
            (error: unknown) => (dead ? never : Promise.reject(error as Error)),
          );
        };
      },
    });
  const dial = (connection: TalosConnection): TalosActor => {
    const client = connectActor(connection);
    connections.push(client);
    return mortal(client);
  };
  const provider = new TalosNodeProvider({
    talos: async () => dial,
    acting: new SealedClients({
      talos: async () => dial,
      kubernetes: async () => mortal<NodeRemover>(kubernetes),
    }),
    connectKubernetes: async () => mortal<KubernetesClient>(kubernetes),
    clock: mortal(realClock),
    timeouts: shortTimeouts,
    advised: new Set(),
    statusOf: () => ({ status: () => undefined, info: () => undefined, warn: () => undefined }),
  });
  return {
    provider,
    kill: () => {
      dead = true;
      for (const connection of connections) connection.close();
    },
  };
}

// Spread over a whole upgrade, which takes about a second here.
const points = Array.from({ length: 14 }, (_, i) => 20 + i * 75);

describe.each(["v1.12.7", "v1.13.7"])("an upgrade from %s whose provider is killed", (version) => {
  it.concurrent.each(points)(
    "after %i ms is finished by the next run, with one upgrade in total and no cordon left",
    async (ms) => {
      const subnet = `127.44.${200 + subnets++}`;
      const kubernetes = new FakeKubernetes().add("cp1", `${subnet}.11`).add("w1", `${subnet}.21`);
      const cluster = await SimulatedCluster.start({
        subnet,
        version,
        workers: 1,
        runtime: {
          kubeletUp: async ({ name }) => void Object.assign(kubernetes.get(name), { ready: true }),
          kubeletDown: async ({ name }) => void Object.assign(kubernetes.get(name), { ready: false }),
        },
      });
      clusters.push(cluster);
      kubernetes.pod("w1", "web");
      const inputs = inputsFor(cluster, "w1", {
        drain: { enabled: true, timeoutSeconds: 5 },
        kubeconfig: "of a test",
        timeoutSeconds: 20,
      });

      const first = killable(kubernetes);
      void first.provider.create(urn, inputs).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, ms));
      first.kill();

      await createHarness(kubernetes, defaultTimeouts).provider.create(urn, inputs);
      expect(cluster.node("w1").snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1, reboots: 1 });
      expect(kubernetes.get("w1")).toMatchObject({ unschedulable: false, annotations: {} });
    },
  );
});
