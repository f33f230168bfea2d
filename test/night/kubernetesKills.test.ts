import { expect, test } from "vitest";
import { killed, killSeed } from "../provider/kubernetesKills.ts";
import { KubernetesCluster } from "../provider/kubernetesUpgradeHarness.ts";

test(`an upgrade of Kubernetes survives 20 kills at random points (KUBERNETES_KILL_SEED=${killSeed})`, async () => {
  const own = await KubernetesCluster.start({ subnet: "127.49.66", controlPlanes: 1, workers: 1 });
  try {
    expect(await killed(own, 20, killSeed)).toBeGreaterThanOrEqual(20);
  } finally {
    await own.stop();
  }
});
