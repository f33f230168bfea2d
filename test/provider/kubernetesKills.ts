import { expect } from "vitest";
import { cordonAnnotation } from "../../provider/kubernetes.ts";
import { unwrap } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { TalosError } from "../../talos/api/errors.ts";
import { componentReleases, urn, type KubernetesCluster } from "./kubernetesUpgradeHarness.ts";

/** The seed that reproduces a failure. */
export const killSeed = Number(process.env["KUBERNETES_KILL_SEED"] ?? Date.now() % 1_000_000);

/** mulberry32: the same numbers for the same seed. */
export function seededRandom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Upgrades a cluster of one control plane and one worker repeatedly. Up to five runs of each upgrade are killed right before or after a random write, and the next run
 * finishes it. @returns how often a run was killed
 */
export async function upgradeWithKills(own: KubernetesCluster, times: number, seed: number): Promise<number> {
  const random = seededRandom(seed);
  let state = await own.adopted(own.provider().provider);
  let kills = 0;
  for (let round = 0; kills < times; round++) {
    const target = ["v1.35.5", "v1.35.6"][round % 2] ?? "";
    const before = own.applies();
    const inputs = own.inputs({ kubernetesVersion: target });
    for (let runs = 0; runs < 5; runs++) {
      const at = 1 + Math.floor(random() * 8);
      const late = random() < 0.5;
      let writes = 0;
      const { provider } = own.provider((connection) => {
        const talos = connectActor(connection);
        const dying = async <T>(work: () => Promise<T>): Promise<T> => {
          if (++writes !== at) return work();
          kills++;
          if (late) await work();
          void provider.abandon();
          throw new TalosError("unreachable", connection.endpoint, "Apply", "the process is gone");
        };
        const [apply, pull] = [talos.applyConfiguration.bind(talos), talos.pullLegacy.bind(talos)];
        talos.applyConfiguration = (request, call) =>
          request.dryRun === true ? apply(request, call) : dying(() => apply(request, call));
        talos.pullLegacy = (...args) => dying(() => pull(...args));
        return talos;
      });
      // A killed run saves no state, so the next one starts with the old state.
      await provider.update("kubernetes", urn, state, inputs).catch(() => undefined);
    }
    const { outs } = await own.provider().provider.update("kubernetes", urn, state, inputs);
    state = outs;
    expect(unwrap(outs).values).toMatchObject({ kubernetesVersion: target });
    expect(own.configured()).toEqual({
      cp1: componentReleases(target, "controlplane"),
      w1: componentReleases(target, "worker"),
    });
    const now = own.applies();
    expect([(now["cp1"] ?? 0) - (before["cp1"] ?? 0), (now["w1"] ?? 0) - (before["w1"] ?? 0)]).toEqual([
      5, 1,
    ]);
    for (const { unschedulable, annotations } of own.kubernetes.cluster.values())
      expect([unschedulable, annotations[cordonAnnotation]]).toEqual([false, undefined]);
  }
  return kills;
}
