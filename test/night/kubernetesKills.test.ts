import { expect, test } from "vitest";
import { upgradeWithKillsAndVolumes } from "../provider/kubernetesFleetKills.ts";
import { upgradeWithKills, killSeed } from "../provider/kubernetesKills.ts";
import { KubernetesCluster } from "../provider/kubernetesUpgradeHarness.ts";

test(`a Kubernetes upgrade survives 20 kills at random points (KUBERNETES_KILL_SEED=${killSeed})`, async () => {
  const own = await KubernetesCluster.start({ subnet: "127.49.66", controlPlanes: 1, workers: 1 });
  try {
    expect(await upgradeWithKills(own, 20, killSeed)).toBeGreaterThanOrEqual(20);
  } finally {
    await own.stop();
  }
});

const workers = 1 + (killSeed % 6);
test(`a Kubernetes upgrade of three control planes and ${workers} workers with volumes survives 20 kills (KUBERNETES_KILL_SEED=${killSeed})`, async () => {
  const own = await KubernetesCluster.start({ subnet: "127.49.73", controlPlanes: 3, workers });
  try {
    expect(await upgradeWithKillsAndVolumes(own, 20, killSeed)).toBeGreaterThanOrEqual(20);
  } finally {
    await own.stop();
  }
});
