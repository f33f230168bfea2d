import { expect } from "vitest";
import { cordonAnnotation, KubernetesError } from "../../provider/kubernetes.ts";
import type { TalosNodeProvider } from "../../provider/plugin.ts";
import { unwrap } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { TalosError } from "../../talos/api/errors.ts";
import { targetOf } from "./fakeStorage.ts";
import { seededRandom } from "./kubernetesKills.ts";
import { componentReleases, urn, type KubernetesCluster } from "./kubernetesUpgradeHarness.ts";
import { deployReleasedDriver, runPodWithVolume } from "./releasedDriver.ts";

/** Gives every worker a pod with a volume that its driver would lose. An evicted pod comes back once its node is uncordoned. */
function withVolumes({ cluster, kubernetes }: KubernetesCluster, workers: readonly string[]): void {
  deployReleasedDriver(kubernetes);
  const place = (worker: string): void => {
    if (kubernetes.pods.some(({ name }) => name === `db-${worker}`)) return;
    runPodWithVolume({ cluster, kubernetes }, worker, `pv-${worker}`, `db-${worker}`);
  };
  workers.forEach(place);
  kubernetes.after = (entry) => {
    const [, evicted] = /^evict db-(.+)$/.exec(entry) ?? [];
    if (evicted !== undefined) {
      kubernetes.storage.detach(`pv-${evicted}`, evicted);
      cluster.node(evicted).boot?.iscsi.logout(targetOf(`pv-${evicted}`));
    }
    const [, open] = /^uncordon (.+)$/.exec(entry) ?? [];
    if (open !== undefined && workers.includes(open)) place(open);
  };
}

/**
 * Like `upgradeWithKills`, with any number of nodes, volumes on each worker and a budget that temporarily blocks one pod. No kubelet restarts under a volume, and no node
 * is touched while a control plane is unhealthy. @returns how often a run was killed
 */
export async function upgradeWithKillsAndVolumes(
  own: KubernetesCluster,
  times: number,
  seed: number,
): Promise<number> {
  const random = seededRandom(seed);
  const names = { controlplane: [] as string[], worker: [] as string[] };
  for (const node of own.cluster.nodes) names[node.identity().role].push(node.name);
  withVolumes(own, names.worker);
  const drain = { enabled: true, timeoutSeconds: 20 };
  let state = await own.adopted(own.provider().provider, { drain });
  const pulls = names.controlplane.length * 4 + names.worker.length;
  let kills = 0;
  // Errors of a killed run prove nothing, so violations are collected here.
  const broken: string[] = [];
  for (let round = 0; kills < times; round++) {
    const target = ["v1.35.5", "v1.35.6"][round % 2] ?? "";
    const before = own.applies();
    const inputs = own.inputs({ kubernetesVersion: target, drain });
    const held = `db-${names.worker[Math.floor(random() * names.worker.length)] ?? ""}`;
    own.kubernetes.blocked.set(held, "its budget needs 1 healthy pod");
    let evictions = 0;
    for (let runs = 0; runs <= 5; runs++) {
      // The last run is not killed.
      const at = runs === 5 ? Infinity : 1 + Math.floor(random() * (pulls + 24));
      const late = random() < 0.5;
      const run: { provider?: TalosNodeProvider; writes: number } = { writes: 0 };
      const isFatal = (): boolean => {
        if (++run.writes !== at) return false;
        kills++;
        return true;
      };
      own.kubernetes.before = (method) => {
        if (method === "evict" && ++evictions > 2) own.kubernetes.blocked.clear();
        if (!["patchNode", "evict"].includes(method) || !isFatal()) return;
        void run.provider?.abandon();
        throw new KubernetesError("the process is gone", 400);
      };
      const { provider } = own.provider((connection) => {
        const talos = connectActor(connection);
        const dying = async <T>(work: () => Promise<T>): Promise<T> => {
          if (!isFatal()) return work();
          if (late) await work();
          void run.provider?.abandon();
          throw new TalosError("unreachable", connection.endpoint, "Apply", "the process is gone");
        };
        const [apply, pull] = [talos.applyConfiguration.bind(talos), talos.pullLegacy.bind(talos)];
        talos.applyConfiguration = (request, call) => {
          if (request.dryRun === true) return apply(request, call);
          const node = own.cluster.nodes.find(({ address }) => address === connection.endpoint);
          const [changed, targets] = [node?.name ?? "", node?.boot?.iscsi.targets ?? []];
          if (names.worker.includes(changed) && targets.length > 0)
            broken.push(`${changed} has volumes: ${targets.join()}`);
          for (const other of own.cluster.nodes)
            if ((other.boot?.staticPods.unready ?? []).length > 0)
              broken.push(`${changed} changes while ${other.name} is not well`);
          return dying(() => apply(request, call));
        };
        talos.pullLegacy = (...args) => dying(() => pull(...args));
        return talos;
      });
      run.provider = provider;
      const done = provider.update("kubernetes", urn, state, inputs);
      // A killed run saves no state, so the next one starts with the old state.
      if (at === Infinity) state = (await done).outs;
      else await done.catch(() => undefined);
      own.kubernetes.before = () => undefined;
    }
    expect(broken).toEqual([]);
    expect(unwrap(state).values).toMatchObject({ kubernetesVersion: target });
    const now = own.applies();
    const moved = Object.fromEntries(
      Object.keys(now).map((name) => [name, (now[name] ?? 0) - (before[name] ?? 0)]),
    );
    const each = (role: "controlplane" | "worker", count: number): [string, number][] =>
      names[role].map((name) => [name, count]);
    expect(moved).toEqual(Object.fromEntries([...each("controlplane", 5), ...each("worker", 1)]));
    for (const role of ["controlplane", "worker"] as const)
      for (const name of names[role]) expect(own.configured()[name]).toEqual(componentReleases(target, role));
    for (const { name, unschedulable, annotations } of own.kubernetes.cluster.values())
      expect([name, unschedulable, annotations[cordonAnnotation]]).toEqual([name, false, undefined]);
  }
  return kills;
}
