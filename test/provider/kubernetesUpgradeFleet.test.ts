import { afterEach, expect, it } from "vitest";
import { connectActor } from "../../talos/api/actor.ts";
import { upgradeWithKills, killSeed } from "./kubernetesKills.ts";
import { newRelease, componentReleases, KubernetesCluster, urn } from "./kubernetesUpgradeHarness.ts";
import type { Properties } from "../../provider/secrets.ts";
import { expectFailure, inputsFor } from "./nodeUpgradeHarness.ts";

let own: KubernetesCluster;
afterEach(async () => own.stop());

it("upgrades control planes one at a time, and waits for each to be healthy before the next", async () => {
  own = await KubernetesCluster.start({ subnet: "127.49.62", controlPlanes: 3, workers: 1 });
  const order: string[] = [];
  const connect: typeof connectActor = (connection) => {
    const talos = connectActor(connection);
    const apply = talos.applyConfiguration.bind(talos);
    talos.applyConfiguration = async (request, call) => {
      if (request.dryRun !== true) {
        for (const node of own.cluster.nodes)
          expect(node.boot?.staticPods.unready, `before the next change: ${node.name}`).toEqual([]);
        order.push(own.cluster.nodes.find(({ address }) => address === connection.endpoint)?.name ?? "");
      }
      return apply(request, call);
    };
    return talos;
  };
  const state = await own.adopted(own.provider().provider);
  await own.provider(connect).provider.update("kubernetes", urn, state, own.inputs());
  const planes = ["cp1", "cp2", "cp3"];
  // API servers, controller managers, schedulers, kube-proxy in the configurations, kubelets.
  expect(order).toEqual([...planes, ...planes, ...planes, ...planes, ...planes, "w1"]);
  expect(own.configured()).toEqual({
    ...Object.fromEntries(planes.map((name) => [name, componentReleases(newRelease, "controlplane")])),
    w1: componentReleases(newRelease, "worker"),
  });
}, 60_000);

it("checks a preview against the planned Talos release, and a deployment against the running one", async () => {
  own = await KubernetesCluster.start({
    subnet: "127.49.63",
    controlPlanes: 1,
    workers: 0,
    version: "v1.12.7",
  });
  const { provider } = own.provider();
  const state = await own.adopted(provider);
  const nodes = {
    cp1: { node: own.cluster.node("cp1").address, role: "controlplane", talosVersion: "v1.13.9" },
  };
  await provider.diff("kubernetes", urn, state, own.inputs({ nodes }), own.inputs());
  for (const told of [
    await expectFailure(provider.diff("kubernetes", urn, state, own.inputs(), own.inputs())),
    await expectFailure(provider.update("kubernetes", urn, state, own.inputs({ nodes }))),
  ])
    expect(told.message).toContain("Talos v1.12.7 runs Kubernetes v1.30 to v1.35");
  expect(own.applies()).toEqual({ cp1: 0 });
});

it("lists the steps to take if Talos has to go first and Kubernetes then needs several minor releases", async () => {
  own = await KubernetesCluster.start({
    subnet: "127.49.69",
    controlPlanes: 1,
    version: "v1.13.9",
  });
  const { provider } = own.provider();
  const nodes = {
    cp1: { node: own.cluster.node("cp1").address, role: "controlplane", talosVersion: "v1.14.1" },
  };
  const state = await own.adopted(provider);
  const told = await expectFailure(
    provider.diff(
      "kubernetes",
      urn,
      state,
      own.inputs({ nodes, kubernetesVersion: "v1.37.1" }),
      own.inputs(),
    ),
  );
  expect(told.message).toMatch(
    /1\) set talosVersion to v1\.14\.1 .*; 2\) set kubernetesVersion to v1\.37, one minor release per/,
  );
  expect(own.applies()).toEqual({ cp1: 0 });
});

it("refuses a Talos upgrade before any configuration if Kubernetes has to go first, and lists the steps", async () => {
  own = await KubernetesCluster.start({
    subnet: "127.49.70",
    controlPlanes: 1,
    version: "v1.12.7",
    kubernetesVersion: "v1.30.4",
  });
  const { name, node, role, talosVersion, image, extensions, services, files, ...shared } = inputsFor(
    own.cluster,
    "cp1",
    { talosVersion: "v1.13.9", kubernetesVersion: "v1.31.2" },
  );
  const inputs = {
    ...shared,
    nodes: { [String(name)]: { node, role, talosVersion, image, extensions, services, files } },
  };
  // As in a deployment, where RolloutReadiness has no kubeconfig.
  delete (inputs as Properties)["kubeconfig"];
  const readiness = urn.replace("KubernetesUpgrade::kubernetes-upgrade", "RolloutReadiness::readiness");
  const told = await expectFailure(own.provider().provider.create(readiness, inputs));
  expect(told.message).toMatch(
    /not v1\.30\.4.*1\) set kubernetesVersion to v1\.31, .*; 2\) set talosVersion to v1\.13\.9/s,
  );
  expect(own.applies()).toEqual({ cp1: 0 });
});

it(`goes on after kills at random points: nothing is done twice or left behind (KUBERNETES_KILL_SEED=${killSeed})`, async () => {
  own = await KubernetesCluster.start({ subnet: "127.49.64", controlPlanes: 1, workers: 1 });
  expect(await upgradeWithKills(own, 5, killSeed)).toBeGreaterThanOrEqual(5);
}, 120_000);
