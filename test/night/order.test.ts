import { afterEach, expect, it } from "vitest";
import { FakeKubernetes } from "../provider/fakeKubernetes.ts";
import { createHarness, inputsFor, urn } from "../provider/nodeUpgradeHarness.ts";
import { SimulatedCluster } from "../provider/simulatedCluster.ts";

// How long a control plane is out of service. Compares the current order, in which a node pulls and installs while it is in service, with the old one,
// which the older API still uses: drain, pull, install, reboot. Runs both on simulated nodes of the same speed.

let cluster: SimulatedCluster;
afterEach(async () => cluster?.stop());

const timings = { pullSeconds: 4, installSeconds: 3, rebootSeconds: 1, bootSeconds: 2 };

interface Outage {
  /** Total seconds in which the nodes were cordoned. */
  cordoned: number;
  /** The longest time (seconds) that a node, and so its Kubernetes API, was not ready. */
  away: number;
}

async function outage(subnet: string, from: string, to: string, prePull: boolean): Promise<Outage> {
  const kubernetes = new FakeKubernetes();
  cluster = await SimulatedCluster.start({ subnet, version: from, controlPlanes: 3, timings });
  for (const { name, address } of cluster.nodes) kubernetes.add(name, address);
  let [cordoned, away, since] = [0, 0, 0];
  const watch = setInterval(() => {
    const isAway = cluster.nodes.some(
      (node) => node.snapshot().stage !== "running" || !node.snapshot().ready,
    );
    if (!isAway) since = 0;
    else {
      since ||= performance.now();
      away = Math.max(away, performance.now() - since);
    }
  }, 20);
  try {
    for (const name of ["cp1", "cp2", "cp3"]) {
      const drain = { enabled: true, timeoutSeconds: 10 };
      const timeouts = { probeMs: 2_000, contactMs: 60_000, recoveryMs: 60_000, serviceMs: 60_000 };
      const more = { talosVersion: to, drain, kubeconfig: "of a test", prePull, timeoutSeconds: 120 };
      const { outs } = await createHarness(kubernetes, timeouts).provider.create(
        urn,
        inputsFor(cluster, name, more),
      );
      cordoned += (outs["timeline"] as { cordonedSeconds: number }).cordonedSeconds;
    }
  } finally {
    clearInterval(watch);
  }
  await cluster.stop();
  return { cordoned, away: away / 1000 };
}

it("control planes are out of service for less time than in the old order", async () => {
  const before = await outage("127.49.1", "v1.12.7", "v1.12.8", false);
  const today = await outage("127.49.2", "v1.13.7", "v1.13.9", true);
  const shown = ({ cordoned, away }: Outage) =>
    `cordoned ${(cordoned / 3).toFixed(1)} s a node, the longest without its API ${away.toFixed(1)} s`;
  process.stdout.write(
    `drain, pull, install, reboot: ${shown(before)}\npull, install, drain, reboot: ${shown(today)}\n`,
  );
  const { pullSeconds, installSeconds } = timings;
  // In the current order, each node accepts pods while it pulls and installs.
  expect(before.cordoned - today.cordoned).toBeGreaterThan(3 * (pullSeconds + installSeconds) * 0.7);
  expect(today.away).toBeLessThan(before.away);
});
