import { connect, createServer, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createHarness, inputsFor, urn } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

// A load balancer in front of the control planes is the only endpoint. It sends each new connection to the next control plane, even one that is down.

const host = "127.59.3.100";

class LoadBalancer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #turn = 0;

  constructor(backends: readonly string[]) {
    this.#server = createServer((client) => {
      const backend = connect(50_000, backends[this.#turn++ % backends.length]);
      for (const [one, other] of [
        [client, backend],
        [backend, client],
      ] as const) {
        this.#sockets.add(one);
        one.on("error", () => other.destroy());
        one.on("close", () => {
          this.#sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(50_000, host, resolve));
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

let cluster: SimulatedCluster;
let balancer: LoadBalancer;

beforeAll(async () => {
  cluster = await SimulatedCluster.start({
    subnet: "127.59.3",
    controlPlanes: 3,
    workers: 1,
    certSANs: [host],
  });
  balancer = new LoadBalancer(["127.59.3.11", "127.59.3.12", "127.59.3.13"]);
  await balancer.start();
});
afterAll(async () => {
  await balancer?.stop();
  await cluster?.stop();
});

it.each(["cp1", "cp2", "cp3", "w1"])(
  "%s is upgraded through the load balancer even when it reaches a control plane that is down",
  async (name) => {
    const timeouts = {
      probeMs: 5_000,
      contactMs: 15_000,
      recoveryMs: 15_000,
      guardMs: 15_000,
      rebootMs: 30_000,
    };
    const { provider } = createHarness(undefined, timeouts);
    const inputs = inputsFor(cluster, name, { endpoints: { "*": [host] }, timeoutSeconds: 60 });
    const { outs } = await provider.create(urn, inputs);
    expect(outs).toMatchObject({ runningVersion: "v1.13.9" });
    expect(cluster.node(name).snapshot()).toMatchObject({ upgrades: 1, reboots: 1 });
  },
);
